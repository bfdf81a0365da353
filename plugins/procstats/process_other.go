//go:build !linux

package procstats

import (
	"fmt"
	"strconv"

	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/process"
)

// List reads the process table by gopsutil.
func List() ([]Process, error) { return ListPortable() }

// Read reads one process by gopsutil.
func Read(pid int) (Process, error) { return ReadPortable(pid) }

// ChargedBytes is the resident size: finer figures are Linux's.
func ChargedBytes(pid int) (int64, error) { return rss(pid) }

func residentBytes(pid int) (own, others int64, err error) {
	own, err = rss(pid)
	return own, 0, err
}

// beyondAnonymous is not known here.
func beyondAnonymous(int) (int64, error) { return 0, nil }

// SwappedBytes makes no difference here.
func SwappedBytes() int64 { return 0 }

// PSSBytes is the resident size: finer figures are Linux's.
func PSSBytes(pid int) (int64, error) { return rss(pid) }

func rss(pid int) (int64, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	m, err := p.MemoryInfo()
	if err != nil {
		return 0, fmt.Errorf("read process %d: %w", pid, err)
	}
	return int64(m.RSS), nil
}

// Environ is not known here.
func Environ(int, string) (string, bool) { return "", false }

// Orphans are not known here.
func Orphans() ([]int, bool) { return nil, false }

// OOMKills is not known here.
func OOMKills() int64 { return 0 }

// BootID is the time of the last boot.
func BootID() string {
	t, err := host.BootTime()
	if err != nil {
		return ""
	}
	return strconv.FormatUint(t, 10)
}
