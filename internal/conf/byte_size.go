package conf

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes. Its text is a number with a unit, "128MiB" or "1.5GB"; a bare number is bytes.
type ByteSize int64

// byteUnits in the order in which String prefers them. Single letters (128M) are not among them, because half of the world
// reads them as powers of 1000 and the other half as powers of 1024.
var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// String is exact: the largest binary unit that divides the size, else bytes.
func (b ByteSize) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText writes "128MiB".
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads "128MiB", "1.5 GB" or "1024".
func (b *ByteSize) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	number, unit := s, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(n), u.size
			break
		}
	}
	if !decimal(number) {
		return fmt.Errorf("size %q is not of the form 128MiB (KiB, MiB, GiB, TiB, kB, MB, GB, TB, or a plain number of bytes)", s)
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return fmt.Errorf("size %q is not a number with a unit", s)
	}
	r.Mul(r, new(big.Rat).SetInt64(unit))
	if !r.IsInt() {
		return fmt.Errorf("size %q is no whole number of bytes", s)
	}
	if r.Sign() < 0 || r.Num().Cmp(big.NewInt(math.MaxInt64)) > 0 {
		return fmt.Errorf("size %q is outside 0 … 8 EiB", s)
	}
	*b = ByteSize(r.Num().Int64())
	return nil
}

// decimal reports whether s is a plain decimal number of reasonable length: no exponent, no sign, no fraction bar.
func decimal(s string) bool {
	digits, dots := 0, 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r == '.':
			dots++
		default:
			return false
		}
	}
	return digits > 0 && digits <= 40 && dots <= 1
}
