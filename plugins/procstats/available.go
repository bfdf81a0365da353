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
