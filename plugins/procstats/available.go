package procstats

import "github.com/shirou/gopsutil/v4/mem"

// AvailableMemory is what new processes of this machine can still have, and all that it has; zeros where it cannot be told.
func AvailableMemory() (available, total int64) {
	vm, err := mem.VirtualMemory()
	if err != nil {
		return 0, 0
	}
	return int64(vm.Available), int64(vm.Total)
}

// shortBelow is the part of the machine's memory below which it may have been out of it.
const shortBelow = 0.10

// MemoryWasShort reports whether the machine can have been out of memory while somebody lived who has just given this much back.
// In a container with a limit nobody can tell: it is that limit that counts.
func MemoryWasShort(givenBack int64) bool {
	if memoryLimit() > 0 {
		return true
	}
	available, total := AvailableMemory()
	return total == 0 || float64(available-givenBack) < shortBelow*float64(total)
}
