package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mount is one line of /proc/self/mountinfo about control groups.
type mount struct {
	version int
	root    string   // the group that is shown at point
	point   string   // where it is shown
	options []string // of a hierarchy of version 1: its controllers are among them
}

// parseMounts finds the mounts of control groups in /proc/self/mountinfo.
func parseMounts(mountinfo string) (mounts []mount) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 3 {
			continue
		}
		m := mount{root: unescape(left[3]), point: unescape(left[4]), options: strings.Split(right[2], ",")}
		switch right[0] {
		case "cgroup2":
			m.version = 2
		case "cgroup":
			m.version = 1
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape puts back the spaces and other bytes that mountinfo writes as \ooo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseOwn reads /proc/self/cgroup: the group of this process by controller, that of version 2 by "".
func parseOwn(cgroup string) map[string]string {
	own := map[string]string{}
	for line := range strings.Lines(cgroup) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			own[c] = parts[2]
		}
	}
	return own
}

// has says whether a controller of version 1 is mounted here.
func (m mount) has(controller string) bool {
	return m.version == 1 && slices.Contains(m.options, controller)
}

// dir is where a group is seen at the mount.
func (m mount) dir(group string) (string, error) {
	below, ok := group, true
	if m.root != "/" {
		below, ok = strings.CutPrefix(group, m.root)
		ok = ok && (below == "" || below[0] == '/')
	}
	if !ok || strings.HasPrefix(group, "/..") || strings.HasSuffix(group, " (deleted)") {
		return "", fmt.Errorf("the group of this process (%s) is not to be seen at %s, where %s is mounted", group, m.point, m.root)
	}
	return strings.TrimSuffix(m.point+below, "/"), nil
}
