package procstats

import (
	"os"
	"strconv"
)

// HasChildren reports whether a process has children now. It costs one small file per thread, where List reads the whole
// process table. ok is false where the kernel cannot tell.
func HasChildren(pid int) (has, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return false, false
	}
	var b [1]byte
	for _, t := range threads {
		text, err := readFile(dir+t.Name()+"/children", b[:])
		if os.IsNotExist(err) {
			if _, gone := os.Stat(dir + t.Name()); gone != nil {
				continue // the thread has ended meanwhile
			}
		}
		if err != nil {
			return false, false
		}
		if len(text) > 0 {
			return true, true
		}
	}
	return false, true
}
