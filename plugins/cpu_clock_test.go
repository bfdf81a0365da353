package plugins

import (
	"os"
	"testing"
	"time"

	"github.com/skalds-go/skalds/plugins/procstats"
)

func TestCPUClock(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name    string
		members [][]int                 // known to be alive, one list a reading
		reads   []map[int]time.Duration // what is there to be read
		want    time.Duration           // of the last reading
	}{
		{"the first reading is the beginning", [][]int{{1}}, []map[int]time.Duration{{1: 500 * ms}}, 0},
		{"one", [][]int{{1}, {1}}, []map[int]time.Duration{{1: 500 * ms}, {1: 520 * ms}}, 20 * ms},
		{"a child counts from its beginning", [][]int{{1}, {1, 2}}, []map[int]time.Duration{{1: 0}, {1: 10 * ms, 2: 30 * ms}}, 40 * ms},
		{"a zombie counts though nobody names it any more", [][]int{{1, 2}, {1}}, []map[int]time.Duration{{1: 0, 2: 50 * ms}, {1: 0, 2: 60 * ms}}, 10 * ms},
		{"one that was waited for counts once", [][]int{{1, 2}, {1}}, []map[int]time.Duration{{1: 0, 2: 50 * ms}, {1: 70 * ms}}, 20 * ms},
		{"nor when that comes later", [][]int{{1, 2}, {1}, {1}}, []map[int]time.Duration{{1: 0, 2: 50 * ms}, {1: 0, 2: 50 * ms}, {1: 50 * ms}}, 0},
		{"one for whom nobody waits hides nobody else", [][]int{{1, 2}, {1}}, []map[int]time.Duration{{1: 0, 2: time.Hour}, {1: 20 * ms}}, 20 * ms},
		{"all are gone", [][]int{{1}, {1}}, []map[int]time.Duration{{1: 50 * ms}, {}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c cpuClock
			var got time.Duration
			for n, members := range tt.members {
				ids := make([]procstats.ID, len(members))
				for i, pid := range members {
					ids[i].PID = pid
				}
				got = c.advance(ids, func(id procstats.ID) (procstats.Process, error) {
					cpu, ok := tt.reads[n][id.PID]
					if !ok {
						return procstats.Process{}, os.ErrNotExist
					}
					return procstats.Process{ID: id, CPU: cpu}, nil
				})
			}
			if last := tt.reads[len(tt.reads)-1]; got != tt.want || len(c.tree) != len(last) {
				t.Errorf("used %s by %d processes, want %s by %d", got, len(c.tree), tt.want, len(last))
			}
		})
	}
}
