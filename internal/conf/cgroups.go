package conf

import (
	"fmt"
	"path"
	"strings"
)

// Cgroups says what a host does with control groups: CgroupsAuto, CgroupsOff, or the group below which it makes those of its
// tasks, as a clean path from the root of the version 2 hierarchy.
type Cgroups string

// The words that Cgroups can be.
const (
	CgroupsAuto Cgroups = "auto"
	CgroupsOff  Cgroups = "off"
)

// cgroupMount is where systems mount control groups; a path that begins there is not one from the root of a hierarchy.
const cgroupMount = "/sys/fs/cgroup"

// UnmarshalText reads a word, in any case, or a path.
func (c *Cgroups) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	switch {
	case strings.EqualFold(s, string(CgroupsAuto)):
		*c = CgroupsAuto
	case strings.EqualFold(s, string(CgroupsOff)), strings.EqualFold(s, "false"):
		*c = CgroupsOff
	case !strings.HasPrefix(s, "/"):
		return fmt.Errorf("%q is neither auto nor off nor a path: write the group as /skalds.slice", s)
	case s == cgroupMount || strings.HasPrefix(s, cgroupMount+"/"):
		return fmt.Errorf("%q begins where control groups are mounted: write the path from there on, like /skalds.slice", s)
	default:
		for part := range strings.SplitSeq(s, "/") {
			if part == ".." {
				return fmt.Errorf("%q leads upwards: write the path from the root of the hierarchy", s)
			}
		}
		*c = Cgroups(path.Clean(s))
	}
	return nil
}
