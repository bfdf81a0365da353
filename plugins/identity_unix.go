//go:build unix

package plugins

import (
	"io/fs"
	"syscall"
)

// fileIdentity tells a file from what it was before: while it stands, digest and description need not be read again.
type fileIdentity struct {
	dev, inode   uint64
	size         int64
	mtime, ctime int64 // ns since epoch
}

func identify(info fs.FileInfo) fileIdentity {
	id := fileIdentity{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.dev, id.inode, id.ctime = uint64(st.Dev), uint64(st.Ino), changeTime(st)
	}
	return id
}
