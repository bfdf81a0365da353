package monitor

import (
	"slices"
	"testing"
	"time"
)

// bench is a failure detector and a clock that stands at will.
type bench struct {
	t   *testing.T
	l   *Leases
	now time.Time
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func setup(t *testing.T) *bench { return &bench{t: t, l: NewLeases(DefaultConfig()), now: epoch} }

// pass lets time go by in steps of 100ms, during which channels are read and heartbeats come from the nodes that beat.
func (b *bench) pass(d time.Duration, read []Channel, beat func(step int)) (lost []string) {
	b.t.Helper()
	for i := range int(d / (100 * time.Millisecond)) {
		b.now = b.now.Add(100 * time.Millisecond)
		if beat != nil {
			beat(i)
		}
		for _, c := range read {
			b.l.Readable(c, b.now)
		}
		lost = append(lost, b.l.Check(b.now)...)
	}
	return lost
}

var both = []Channel{Store, Bus}

func (b *bench) silentFor(d time.Duration) []string { return b.pass(d, both, nil) }

func TestANodeIsLostAfterLeaseAndDrift(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 6 * time.Second, 15 * time.Second} {
		cfg := ForLease(lease)
		if want := lease/100 + 200*time.Millisecond; cfg.Drift != want {
			t.Errorf("lease %s allows a drift of %s, want %s", lease, cfg.Drift, want)
		}
		b := setup(t)
		b.l = NewLeases(cfg)
		b.silentFor(300 * time.Millisecond)
		b.l.Heard("n", 1, 1, b.now)
		bound := (lease + cfg.Drift).Truncate(100 * time.Millisecond)
		if lost := b.silentFor(bound); len(lost) != 0 {
			t.Errorf("lease %s: lost %v within lease and drift", lease, lost)
		}
		if lost := b.silentFor(200 * time.Millisecond); !slices.Equal(lost, []string{"n"}) {
			t.Errorf("lease %s: lost %v after lease and drift", lease, lost)
		}
		if lost := b.silentFor(2 * lease); len(lost) != 0 || b.l.Alive("n") {
			t.Errorf("lease %s: lost again %v, alive %v", lease, lost, b.l.Alive("n"))
		}
		if h := b.l.Heard("n", 1, 2, b.now); !h.News || !h.First || !b.l.Alive("n") {
			t.Errorf("lease %s: heard again: %+v", lease, h)
		}
	}
}

func TestOneChannelKeepsANodeAlive(t *testing.T) {
	b := setup(t)
	seq := int64(0)
	lost := b.pass(time.Minute, both, func(step int) {
		if step%10 == 0 {
			seq++
			b.l.Heard("n", 1, seq, b.now)
		}
	})
	if len(lost) != 0 {
		t.Errorf("lost %v, though it was heard every second", lost)
	}
}

func TestABlindControllerDeclaresNobodyLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reads []Channel
	}{
		{"no channel", nil},
		{"the bus only", []Channel{Bus}},
		{"the store only", []Channel{Store}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t)
			b.silentFor(300 * time.Millisecond)
			b.l.Heard("n", 1, 1, b.now)
			if lost := b.pass(time.Minute, tt.reads, nil); len(lost) != 0 {
				t.Fatalf("lost %v while blind", lost)
			}
			if b.l.Blind() == "" {
				t.Error("not blind")
			}
			if lost := b.silentFor(6 * time.Second); len(lost) != 0 || b.l.Blind() != "" {
				t.Errorf("seeing again: lost %v, blind %q: counting begins anew", lost, b.l.Blind())
			}
			if lost := b.silentFor(600 * time.Millisecond); len(lost) != 1 {
				t.Errorf("lost %v a lease after seeing again", lost)
			}
		})
	}
}

// That nothing was read in the first moment is no news; that nothing can be read is.
func TestABeginnerIsBlindOnlyAfterAWhile(t *testing.T) {
	b := setup(t)
	for _, at := range []time.Duration{0, DefaultConfig().Silence} {
		if b.pass(at, []Channel{Store}, nil); b.l.Blind() != "" {
			t.Errorf("blind %s after its begin: %s", at, b.l.Blind())
		}
	}
	if b.pass(200*time.Millisecond, []Channel{Store}, nil); b.l.Blind() != "the bus is not read yet" {
		t.Errorf("blind: %q, but the bus was never read", b.l.Blind())
	}
}

func TestCountingBeginsAnew(t *testing.T) {
	t.Run("after this program stood still", func(t *testing.T) {
		b := setup(t)
		b.silentFor(300 * time.Millisecond)
		b.l.Heard("n", 1, 1, b.now)
		b.now = b.now.Add(time.Hour)
		b.l.Readable(Store, b.now)
		b.l.Readable(Bus, b.now)
		if lost := b.l.Check(b.now); len(lost) != 0 {
			t.Errorf("lost %v after a stand-still", lost)
		}
		if lost := b.silentFor(6 * time.Second); len(lost) != 0 {
			t.Errorf("lost %v before a lease of watching", lost)
		}
	})
	t.Run("after the bus was not read for a moment", func(t *testing.T) {
		b := setup(t)
		b.silentFor(300 * time.Millisecond)
		b.l.Heard("n", 1, 1, b.now)
		b.silentFor(6 * time.Second)
		b.l.Interrupted(Bus)
		if lost := b.pass(500*time.Millisecond, []Channel{Store}, nil); len(lost) != 0 || b.l.Blind() == "" {
			t.Errorf("lost %v, blind %q: a heartbeat on the bus may have been missed", lost, b.l.Blind())
		}
		if lost := b.silentFor(6 * time.Second); len(lost) != 0 {
			t.Errorf("lost %v before a lease of watching", lost)
		}
	})
	t.Run("for what lies after the last reading", func(t *testing.T) {
		b := setup(t)
		b.silentFor(300 * time.Millisecond)
		b.l.Heard("n", 1, 1, b.now)
		b.silentFor(6 * time.Second)
		if lost := b.pass(time.Second, []Channel{Bus}, nil); len(lost) != 0 {
			t.Errorf("lost %v, though the store was read before the lease was over and may hold a heartbeat", lost)
		}
		b.l.Heard("n", 1, 2, b.now)
		if lost := b.silentFor(6 * time.Second); len(lost) != 0 {
			t.Errorf("lost %v, though the store held a heartbeat", lost)
		}
	})
	t.Run("when a hello is answered", func(t *testing.T) {
		b := setup(t)
		b.silentFor(300 * time.Millisecond)
		b.l.Heard("n", 1, 1, b.now)
		b.silentFor(6 * time.Second)
		b.l.Greeted("n", 2, b.now)
		if lost := b.silentFor(6 * time.Second); len(lost) != 0 {
			t.Errorf("lost %v, though its hello was answered", lost)
		}
		if lost := b.silentFor(600 * time.Millisecond); len(lost) != 1 {
			t.Errorf("lost %v: a hello is no heartbeat", lost)
		}
		b.l.Greeted("n", 2, b.now)
		if b.l.Alive("n") {
			t.Error("a lost node lives without a heartbeat")
		}
	})
}

func TestNodesOfTheStoreAreWatchedUnheard(t *testing.T) {
	b := setup(t)
	b.l.Watch("n", b.now)
	if b.l.Alive("n") {
		t.Error("alive without a heartbeat")
	}
	if lost := b.silentFor(7 * time.Second); !slices.Equal(lost, []string{"n"}) {
		t.Errorf("lost %v", lost)
	}
	b.l.Watch("m", b.now)
	b.l.Forget("m")
	if lost := b.silentFor(7 * time.Second); len(lost) != 0 {
		t.Errorf("lost %v, which were forgotten", lost)
	}
}

func TestAFarewell(t *testing.T) {
	b := setup(t)
	b.silentFor(300 * time.Millisecond)
	b.l.Heard("n", 4, 1, b.now)
	b.l.Goodbye("n", 4)
	if h := b.l.Heard("n", 4, 2, b.now); h.News || b.l.Alive("n") {
		t.Errorf("a late heartbeat after the farewell: %+v, alive %v", h, b.l.Alive("n"))
	}
	if lost := b.silentFor(time.Minute); len(lost) != 0 {
		t.Errorf("lost %v after a farewell", lost)
	}
	if h := b.l.Heard("n", 5, 1, b.now); !h.First {
		t.Errorf("the next incarnation: %+v", h)
	}
	b.l.Goodbye("n", 4)
	if !b.l.Alive("n") {
		t.Error("a late farewell of a former incarnation silences the present one")
	}
	b.l.Goodbye("never heard", 1)
	if lost := b.silentFor(time.Minute); !slices.Equal(lost, []string{"n"}) {
		t.Errorf("lost %v", lost)
	}
}

func TestIncarnations(t *testing.T) {
	type beat struct {
		after            time.Duration
		incarnation, seq int64
		want             Hearing
	}
	news, first := Hearing{News: true}, Hearing{News: true, First: true}
	sec := time.Second
	for _, tt := range []struct {
		name  string
		beats []beat
		last  int64
	}{
		{"the first", []beat{{0, 7, 3, first}, {sec, 7, 4, news}, {0, 7, 4, Hearing{}}, {0, 7, 2, Hearing{}}}, 7},
		{"a restart", []beat{{0, 7, 3, first}, {3 * sec, 8, 1, first}, {sec, 8, 2, news}}, 8},
		{"a quick restart", []beat{{0, 7, 3, first}, {sec, 8, 1, Hearing{}}, {sec, 8, 2, Hearing{}}, {sec, 8, 3, first}, {sec, 8, 4, news}}, 8},
		{
			"a quick restart with many heartbeats", // each change makes one
			[]beat{{0, 7, 3, first}, {sec, 8, 1, Hearing{}}, {sec / 4, 8, 2, Hearing{}}, {sec / 4, 8, 3, Hearing{}}, {sec / 4, 8, 4, Hearing{}}, {sec, 8, 5, first}},
			8,
		},
		{"late words of the former one", []beat{{0, 7, 3, first}, {3 * sec, 8, 1, first}, {0, 7, 4, Hearing{}}, {0, 7, 5, Hearing{}}, {sec, 8, 2, news}}, 8},
		{
			"old ones that lie in the store", // read again and again while the heartbeat store is not written
			[]beat{{0, 7, 3, first}, {3 * sec, 8, 1, first}, {3 * sec, 9, 1, first}, {0, 5, 90, Hearing{}}, {0, 7, 3, Hearing{}}, {sec, 9, 2, news}, {0, 5, 90, Hearing{}}, {sec, 9, 3, news}},
			9,
		},
		{
			"a former one that goes on and on", []beat{
				{0, 7, 3, first},
				{3 * sec, 8, 1, first},
				{sec, 7, 4, Hearing{}},
				{0, 8, 2, news},
				{sec, 7, 5, Hearing{}},
				{0, 8, 3, news},
				{sec, 7, 6, Hearing{Twice: 8}},
				{0, 8, 4, news},
			}, 8,
		},
		{
			"another host with a higher count", []beat{
				{0, 7, 3, first},
				{sec, 8, 1, Hearing{}},
				{0, 7, 4, news},
				{sec, 8, 2, Hearing{}},
				{0, 7, 5, news},
				{sec, 8, 3, Hearing{}},
				{0, 7, 6, news},
				{sec, 8, 4, Hearing{Twice: 8}},
				{0, 7, 7, news},
			}, 7,
		},
		{
			"another host with a lower count", []beat{
				{0, 7, 3, first},
				{sec, 2, 1, Hearing{}},
				{0, 7, 4, news},
				{sec, 2, 2, Hearing{}},
				{0, 7, 5, news},
				{sec, 2, 3, Hearing{}},
				{0, 7, 6, news},
				{sec, 2, 4, Hearing{Twice: 2}},
			}, 7,
		},
		{
			"a host that has lost its folder", []beat{
				{0, 7, 3, first}, {sec, 1, 1, Hearing{}}, {sec, 1, 2, Hearing{}}, {sec, 1, 3, first}, {sec, 1, 4, news},
			}, 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, now := NewLeases(DefaultConfig()), epoch
			for i, b := range tt.beats {
				now = now.Add(b.after)
				l.Readable(Bus, now)
				if got := l.Heard("n", b.incarnation, b.seq, now); got != b.want {
					t.Errorf("heartbeat %d (%d, %d): %+v, want %+v", i, b.incarnation, b.seq, got, b.want)
				}
			}
			if got := l.Incarnation("n"); got != tt.last {
				t.Errorf("the present incarnation is %d, want %d", got, tt.last)
			}
		})
	}
}

func TestSuccession(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(l *Leases, now time.Time)
		free bool
	}{
		"heard just now":                {func(*Leases, time.Time) {}, false},
		"silent":                        {func(l *Leases, now time.Time) { l.Readable(Bus, now.Add(2100*time.Millisecond)) }, true},
		"silent where nobody listens":   {func(l *Leases, now time.Time) { l.Readable(Store, now.Add(time.Minute)) }, false},
		"has said goodbye":              {func(l *Leases, now time.Time) { l.Goodbye("n", 7) }, true},
		"is dead":                       {func(l *Leases, now time.Time) { l.Gone("n", 7, false, now) }, true},
		"is said to be silent":          {func(l *Leases, now time.Time) { l.Gone("n", 7, true, now) }, false},
		"a former one has said goodbye": {func(l *Leases, now time.Time) { l.Goodbye("n", 6) }, false},
	} {
		l := NewLeases(DefaultConfig())
		l.Heard("n", 7, 1, epoch)
		l.Readable(Bus, epoch)
		tt.then(l, epoch)
		if got := l.Succeeds("n", 8, 0); got != tt.free {
			t.Errorf("%s: succeeds %v", name, got)
		}
		h := l.Heard("n", 8, 1, epoch)
		if l.Contended("n") == tt.free {
			t.Errorf("%s: contended %v", name, !tt.free)
		}
		if h.First != tt.free || (l.Incarnation("n") == 8) != tt.free {
			t.Errorf("%s: heard as %+v, present is %d", name, h, l.Incarnation("n"))
		}
	}
	l := NewLeases(DefaultConfig())
	l.Heard("n", 7, 1, epoch)
	l.Readable(Bus, epoch.Add(3*time.Second))
	l.Greeted("n", 8, epoch.Add(3*time.Second))
	if h := l.Heard("n", 8, 1, epoch.Add(3*time.Second)); !h.First {
		t.Errorf("one whose hello was answered is heard as %+v", h)
	}
	l.Heard("n", 9, 1, epoch.Add(3*time.Second))
	l.Heard("n", 8, 2, epoch.Add(6*time.Second))
	if l.Contended("n") {
		t.Error("contended by one that was not heard for long")
	}
	l = NewLeases(DefaultConfig())
	l.Watch("m", epoch)
	if !l.Succeeds("m", 8, 0) || l.Succeeds("m", 8, 7) || !l.Succeeds("m", 7, 7) {
		t.Error("one that was not heard yet")
	}
	if l.Readable(Bus, epoch.Add(2100*time.Millisecond)); !l.Succeeds("m", 8, 7) {
		t.Error("one that was listened for in vain")
	}
}

func TestOtherIncarnationsAreBounded(t *testing.T) {
	l, now := NewLeases(DefaultConfig()), epoch
	for i := range int64(100) {
		now = now.Add(3 * time.Second)
		l.Readable(Bus, now)
		l.Heard("n", i+1, 1, now)
	}
	if n := len(l.nodes["n"].others); n > maxOthers {
		t.Errorf("%d incarnations are remembered", n)
	}
	if h := l.Heard("n", 99, 1, now); h.News {
		t.Error("the youngest former incarnation was forgotten")
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Config{
		"lease":   {Lease: time.Millisecond, Silence: time.Second},
		"drift":   {Lease: time.Second, Drift: -1, Silence: time.Second},
		"silence": {Lease: time.Second},
	} {
		if c.Validate() == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}

func TestAGoneHostIsNotHeardByLateWords(t *testing.T) {
	b := setup(t)
	b.silentFor(300 * time.Millisecond)
	b.l.Heard("n", 4, 1, b.now)
	b.l.Gone("n", 4, false, b.now)
	for seq := int64(2); seq < 4; seq++ {
		if h := b.l.Heard("n", 4, seq, b.now); h.News {
			t.Errorf("heartbeat %d, which was under way, counts: %+v", seq, h)
		}
	}
	if !b.l.Alive("n") {
		t.Error("it is lost before its lease has ended, though some of its processes may live")
	}
	if lost := b.silentFor(7 * time.Second); !slices.Equal(lost, []string{"n"}) {
		t.Errorf("lost %v at the end of its lease", lost)
	}
	if h := b.l.Heard("n", 5, 1, b.now); !h.News || !h.First {
		t.Errorf("its next self is heard as %+v", h)
	}
}

func TestAGoneHostThatGoesOnLives(t *testing.T) {
	b := setup(t)
	b.silentFor(300 * time.Millisecond)
	b.l.Heard("n", 4, 1, b.now)
	b.l.Gone("n", 4, false, b.now)
	b.l.Gone("n", 4, false, b.now)
	news := 0
	for seq := int64(2); seq < 8; seq++ {
		h := b.l.Heard("n", 4, seq, b.now)
		if h.News {
			news++
		}
		if first := news == 1; h.First != (h.News && first) {
			t.Errorf("heartbeat %d: %+v, want the first that counts to ask for a hello", seq, h)
		}
	}
	if news == 0 {
		t.Error("a host that goes on is never heard again: its tasks would run twice")
	}
}

func TestASilentHostIsHeardAtOnce(t *testing.T) {
	b := setup(t)
	b.silentFor(300 * time.Millisecond)
	b.l.Heard("n", 4, 1, b.now)
	b.l.Gone("n", 4, true, b.now)
	if h := b.l.Heard("n", 4, 2, b.now); !h.News || !h.First {
		t.Errorf("it has woken up as %+v", h)
	}
	if h := b.l.Heard("n", 4, 3, b.now); !h.News || h.First {
		t.Errorf("then it is heard as %+v", h)
	}
}

func TestAGoneHostThatWasNeverHeardIsLostInTime(t *testing.T) {
	b := setup(t)
	b.silentFor(300 * time.Millisecond)
	b.l.Gone("n", 4, false, b.now)
	if h := b.l.Heard("n", 4, 1, b.now); h.News {
		t.Errorf("a late first heartbeat counts: %+v", h)
	}
	if lost := b.silentFor(7 * time.Second); !slices.Equal(lost, []string{"n"}) {
		t.Errorf("lost %v at the end of its lease", lost)
	}
}

// A host that starts again right after its former self was heard waits for that one's silence. It may say no more until that is over, and
// is no lost node for a lease of its own.
func TestAHostThatWaitsForItsPlaceIsNotLost(t *testing.T) {
	b := setup(t)
	b.silentFor(300 * time.Millisecond)
	b.l.Heard("n", 1, 1, b.now)
	b.silentFor(1500 * time.Millisecond)
	if h := b.l.Heard("n", 2, 1, b.now); h.News {
		t.Errorf("it has its place at once: %+v", h)
	}
	if lost := b.silentFor(5900 * time.Millisecond); len(lost) != 0 {
		t.Errorf("lost %v within its lease", lost)
	}
	if lost := b.silentFor(time.Second); !slices.Equal(lost, []string{"n"}) {
		t.Errorf("lost %v after its lease", lost)
	}
}
