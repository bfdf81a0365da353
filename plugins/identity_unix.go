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

// sameContent is equality but for the time of the inode's last change, which a new hard link or a chmod moves, too.
func (id fileIdentity) sameContent(other fileIdentity) bool {
	id.ctime, other.ctime = 0, 0
	return id == other
}

func identify(info fs.FileInfo) fileIdentity {
	id := fileIdentity{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.dev, id.inode, id.ctime = uint64(st.Dev), uint64(st.Ino), changeTime(st)
	}
	return id
}
