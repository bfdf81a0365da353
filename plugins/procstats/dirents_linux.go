package procstats

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Of a struct linux_dirent64, see getdents(2).
const (
	direntLength = 16 // offset of the record's length
	direntName   = 19 // offset of the name, which ends with a zero
)

// appendNumbers lists the entries of an open folder whose names are numbers.
func appendNumbers(numbers []int, fd int) ([]int, error) {
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	for {
		n, err := unix.Getdents(fd, *buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return numbers, os.NewSyscallError("getdents64", err)
		case n <= 0:
			return numbers, nil
		}
		numbers = parseDirents(numbers, (*buf)[:n])
	}
}

// parseDirents adds the names that are numbers.
func parseDirents(numbers []int, b []byte) []int {
	for len(b) > direntName {
		size := int(binary.NativeEndian.Uint16(b[direntLength:]))
		if size <= direntName || size > len(b) {
			break
		}
		if n, ok := number(b[direntName:size]); ok {
			numbers = append(numbers, n)
		}
		b = b[size:]
	}
	return numbers
}

// number reads a name that is a number.
func number(name []byte) (n int, ok bool) {
	for i, c := range name {
		switch {
		case c == 0:
			return n, i > 0
		case c < '0' || c > '9' || n > 1<<30:
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return 0, false
}
