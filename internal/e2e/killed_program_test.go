package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// user is somebody who creates tasks, updates and cancels them while the program is killed again and again. It remembers what the
// program has promised. A user belongs to one goroutine at a time.
type user struct {
	name  string
	rng   *rand.Rand
	tasks []*wanted
	ideas int // how many tasks more until the next kill
}

const ideasPerRound = 12

// wanted is a task as its user knows it.
type wanted struct {
	request   api.CreateTask
	accepted  bool     // 201 came
	asked     bool     // to cancel it
	cancelled bool     // that was promised
	texts     []string // the attachments hold one of these: the last that was promised, and those of which no answer came since

	final *api.TaskResponse // as it was seen first in its end
}

// kinds of tasks that a user wants: what each does, how it ends by itself, and how often it may fail.
var kinds = []struct {
	do   string
	ends skalds.State // "": a user cancels it
}{
	{"finish", skalds.Finished}, {"work", skalds.Finished}, {"fail", skalds.Failed}, {"wait", ""}, {"chatter", ""},
}

const failsAfter = 2 // attempts of the kind "fail"

func (w *wanted) do() string {
	var s script
	_ = json.Unmarshal(w.request.Attachments, &s) // it was made by a test
	return s.Do
}

func chatter(text string) object { return object{"do": "chatter", "millis": 20, "text": text} }

// want makes up a task.
func (u *user) want(t testing.TB) *wanted {
	kind := kinds[u.rng.IntN(len(kinds))].do
	id := fmt.Sprintf("%s-%d-%s", u.name, len(u.tasks), kind)
	w := &wanted{}
	switch kind {
	case "chatter":
		w.texts = []string{"first"}
		w.request = task(id, kind)
		w.request.Attachments = chatter("first").json(t)
	default:
		w.request = task(id, kind, func(c *api.CreateTask) {
			c.Attachments = object{"do": kind, "millis": u.rng.IntN(500), "text": "as told"}.json(t)
			c.Retry.MaxAttempts = failsAfter
		})
	}
	u.tasks = append(u.tasks, w)
	return w
}

// create asks for a task; asked again with the same key, it is the same task.
func (w *wanted) create(ctx context.Context, p *program) error {
	_, err := p.CreateTask(ctx, w.request, "key of "+w.request.ID)
	if err == nil {
		w.accepted = true
	}
	return err
}

func (w *wanted) cancel(ctx context.Context, p *program) error {
	w.asked = true
	_, err := p.Cancel(ctx, w.request.ID)
	if err == nil {
		w.cancelled = true
	}
	return err
}

func (w *wanted) update(ctx context.Context, t testing.TB, p *program, text string) error {
	w.texts = append(w.texts, text)
	_, err := p.UpdateAttachments(ctx, w.request.ID, chatter(text).json(t), 0)
	if err == nil {
		w.texts = []string{text}
	}
	return err
}

// act does the one or the other thing.
func (u *user) act(ctx context.Context, t testing.TB, p *program) error {
	var open []*wanted
	for _, w := range u.tasks {
		if d := w.do(); w.accepted && !w.cancelled && (d == "wait" || d == "chatter") {
			open = append(open, w)
		}
	}
	switch {
	case u.ideas > 0 && (len(open) == 0 || u.rng.IntN(3) > 0):
		u.ideas--
		return u.want(t).create(ctx, p)
	case len(open) == 0:
		return nil
	}
	w := open[u.rng.IntN(len(open))]
	if w.do() == "chatter" && u.rng.IntN(3) > 0 {
		return w.update(ctx, t, p, fmt.Sprintf("text %d", u.rng.IntN(1e6)))
	}
	return w.cancel(ctx, p)
}

// busy acts until an answer does not come. That must not happen before the program is killed.
func (u *user) busy(t testing.TB, p *program, killed *atomic.Bool) {
	for ctx := t.Context(); !killed.Load(); {
		if err := u.act(ctx, t, p); err != nil {
			if !killed.Load() {
				t.Errorf("user %s: %v", u.name, err)
			}
			return
		}
		time.Sleep(time.Duration(u.rng.IntN(60)) * time.Millisecond) // people are not faster
	}
}

// check asks for every task of which the program has said 201: it is there, what was promised of it holds, and what was its end is
// its end. The program may be killed meanwhile.
func (u *user) check(t testing.TB, p *program, killed *atomic.Bool) {
	t.Helper()
	for _, w := range u.tasks {
		id := w.request.ID
		r, err := p.Task(t.Context(), id)
		if err != nil && killed.Load() {
			return
		}
		if errors.Is(err, skalds.ErrNotFound) && !w.accepted {
			continue
		}
		if err != nil {
			t.Errorf("accepted task %s: %v", id, err)
			continue
		}
		w.accepted = true
		w.cancelled = w.cancelled || w.asked && r.LifecycleStatus == skalds.Cancelled
		if w.cancelled && r.LifecycleStatus != skalds.Cancelled {
			t.Errorf("%s was cancelled and is %s", id, r.LifecycleStatus)
		}
		if len(w.texts) > 0 {
			var s script
			if err := json.Unmarshal(r.Attachments, &s); err != nil {
				t.Errorf("attachments of %s: %v", id, err)
			}
			if !strings.Contains("\n"+strings.Join(w.texts, "\n")+"\n", "\n"+s.Text+"\n") {
				t.Errorf("the text of %s is %q, promised was one of %q", id, s.Text, w.texts)
			}
		}
		switch {
		case !r.LifecycleStatus.Final():
			if w.final != nil {
				t.Errorf("%s was %s and is %s", id, w.final.LifecycleStatus, r.LifecycleStatus)
			}
		case w.final == nil:
			w.final = &r
		case w.final.LifecycleStatus != r.LifecycleStatus || w.final.Epoch != r.Epoch || w.final.EndedAt != r.EndedAt:
			t.Errorf("%s was %s since %d in epoch %d and is %s since %d in epoch %d", id, w.final.LifecycleStatus, w.final.EndedAt,
				w.final.Epoch, r.LifecycleStatus, r.EndedAt, r.Epoch)
		}
	}
}

// settle repeats what was not answered, ends what does not end by itself, and waits for the end of all.
func (u *user) settle(t testing.TB, p *program) {
	t.Helper()
	for _, w := range u.tasks {
		if err := w.create(t.Context(), p); err != nil {
			t.Errorf("the same request again for %s: %v", w.request.ID, err)
		}
	}
	for _, w := range u.tasks {
		if r := p.becomes(w.request.ID, "is known", func(api.TaskResponse) bool { return true }); r.LifecycleStatus.Final() {
			continue
		}
		switch w.do() {
		case "chatter":
			// The process that runs now has what was promised last.
			text := fmt.Sprintf("the last text %d", u.rng.IntN(1e6))
			if err := w.update(t.Context(), t, p, text); err != nil {
				t.Errorf("update %s: %v", w.request.ID, err)
			}
			p.until(w.request.ID+" says its last text", func(ctx context.Context) bool {
				return strings.Contains(p.logTail(ctx, w.request.ID, 5), text)
			})
			fallthrough
		case "wait":
			if err := w.cancel(t.Context(), p); err != nil {
				t.Errorf("cancel %s: %v", w.request.ID, err)
			}
		}
	}
	for _, w := range u.tasks {
		p.ends(w.request.ID)
	}
	u.check(t, p, new(atomic.Bool))
}

// judge looks at how every task has ended, and how often.
func (u *user) judge(t testing.TB, p *program) (reruns int) {
	t.Helper()
	for _, w := range u.tasks {
		id := w.request.ID
		var attempts []skalds.Attempt
		p.until("the attempts of "+id+" have ends", func(ctx context.Context) bool {
			var err error
			if attempts, err = p.Attempts(ctx, id); err != nil {
				return false
			}
			for _, a := range attempts {
				if a.Exit == nil {
					return false
				}
			}
			return true
		})
		completed, failed := 0, 0
		for _, a := range attempts {
			switch a.Exit.Kind {
			case skalds.ExitCompleted:
				completed++
			case skalds.ExitError:
				failed++
			case skalds.ExitCancelled, skalds.ExitHostRestart, skalds.ExitNodeLost, skalds.ExitHostStop:
			default:
				t.Errorf("%s: attempt %d.%d ended by %s: %s", id, a.Epoch, a.Attempt, a.Exit.Kind, a.Exit.Message)
			}
		}
		want := skalds.Cancelled
		for _, k := range kinds {
			if k.do == w.do() && k.ends != "" {
				want = k.ends
			}
		}
		wantCompleted := 0
		if want == skalds.Finished {
			wantCompleted = 1
		}
		if w.final == nil || w.final.LifecycleStatus != want || completed != wantCompleted {
			t.Errorf("%s ended as %+v by %d completed attempts of %d, want %s by %d", id, w.final, completed, len(attempts), want, wantCompleted)
		}
		if want == skalds.Failed && (failed < failsAfter || w.final.BudgetUsed != failsAfter) {
			t.Errorf("%s: %d attempts failed, budget used %d, want %d", id, failed, w.final.BudgetUsed, failsAfter)
		}
		if n := noted(p.dir, skalds.FileName(id), "finished"); n > 1 {
			reruns++
		}
	}
	return reruns
}

// useAndKill kills the program when wait returns, while people use it.
func useAndKill(t testing.TB, p *program, users []*user, wait func()) {
	t.Helper()
	var killed atomic.Bool
	var wg sync.WaitGroup
	defer func() {
		killed.Store(true)
		p.kill()
		wg.Wait()
	}()
	for _, u := range users {
		u.ideas = ideasPerRound
		wg.Go(func() {
			u.check(t, p, &killed)
			u.busy(t, p, &killed)
		})
	}
	wait()
}

// TestKilledProgram kills the program at random moments while people use it, and starts it again on the same folder. SKALDS_NIGHTLY=1
// does it 100 times, with a seed that SKALDS_SEED repeats.
func TestKilledProgram(t *testing.T) {
	rounds, seed := 10, uint64(1)
	if os.Getenv("SKALDS_NIGHTLY") != "" {
		rounds, seed = 100, uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("SKALDS_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("SKALDS_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	users := make([]*user, 3)
	for i := range users {
		users[i] = &user{name: fmt.Sprintf("u%d", i), rng: rand.New(rand.NewPCG(seed, uint64(i+1)))}
	}
	dir, address := t.TempDir(), freeAddress(t)
	recorders := []string{"recorder-0", "recorder-1"}
	p := standalone(t, dir)
	p.create(persistent(t, "camera", "TestCamera", cameraAt(address)))
	for _, id := range recorders {
		p.create(persistent(t, id, "RTSPRecorder", recorderOf(address)))
	}
	args := []string{"standalone", "--data-dir", dir, "--listen", "127.0.0.1:0"}
	for round := range rounds {
		if round > 0 {
			p = start(t, dir, args...)
			if rng.IntN(4) == 0 { // some die before they answer
				time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
				p.kill()
				waitGone(t)
				p = start(t, dir, args...)
			}
			p.connect()
		}
		useAndKill(t, p, users, func() {
			if rng.IntN(2) == 0 { // the others die earlier, while they start what had run
				for _, id := range recorders {
					p.counts(id, 1)
				}
			}
			time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		})
		waitGone(t)
		for _, id := range recorders {
			movies(t, dir, id)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
	}

	p = standalone(t, dir)
	total, reruns := 0, 0
	for _, u := range users {
		u.settle(t, p)
		reruns += u.judge(t, p)
		total += len(u.tasks)
	}
	for _, id := range recorders {
		p.counts(id, 1)
		if _, err := p.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		list := p.films(id, "end", func(l []movie) bool { return len(l) > 0 && l[len(l)-1].end == "stop" })
		for _, m := range list {
			if m.rest != 0 || m.end == "" {
				t.Errorf("%s: ended by %q, %d bytes of rubbish", m.name(), m.end, m.rest)
			}
			regular(t, m, cameraFPS)
			plays(t, m)
		}
		t.Logf("%s: %d files, %d pictures", id, len(list), frames(list))
	}
	t.Logf("%d tasks lived through %d kills; %d ran to their end more than once, none was finished more than once", total, rounds, reruns)
}
