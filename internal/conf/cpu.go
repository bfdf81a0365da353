package conf

import (
	"fmt"
	"strconv"
	"strings"
)

// CPU is an amount of processor time in cores: "1.5", or in thousandths of a core, "500m".
type CPU float64

// String is the number of cores.
func (c CPU) String() string { return strconv.FormatFloat(float64(c), 'f', -1, 64) }

// MarshalText writes "1.5".
func (c CPU) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// maxCores is more than any machine has: beyond it, somebody has mixed up the unit.
const maxCores = 1 << 16

// UnmarshalText reads "1.5" or "500m".
func (c *CPU) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	number, milli := strings.CutSuffix(s, "m")
	if !decimal(number) {
		return fmt.Errorf("CPU %q is not of the form 1.5 (cores) or 500m (thousandths of a core)", s)
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return fmt.Errorf("CPU %q is not a number of cores: %w", s, err)
	}
	if milli {
		v /= 1000
	}
	if v > maxCores {
		return fmt.Errorf("CPU %q is more than %d cores", s, maxCores)
	}
	*c = CPU(v)
	return nil
}
