package plugins

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// maxStack bounds a stack in a report.
const maxStack = 16 << 10

// Explain turns everything that is known of the end of an attempt into one report: why we killed it, the task's last word
// (nil: none came), how the Run call failed (nil: it did not), and how the process ended. Call it after Done, or with a
// last word.
func (i *Instance) Explain(finished *protocol.Finished, runErr error) skalds.Exit {
	x := i.explain(finished, runErr)
	st := i.Status()
	switch x.Kind {
	case skalds.ExitError, skalds.ExitExit, skalds.ExitPanic, skalds.ExitSignal: // by itself, as it seems
	default:
		return x
	}
	switch {
	case st.OOMKills > 0: // a moment ago: it would have been ended for it, see lookForOOM
		x.Kind, x.Limit = skalds.ExitOOM, memoryIfLimited(st.Peak, i.spec.Limits)
		x.Message = oomText(partOfIt, st.Peak, i.spec.Limits) + ": " + x.Message
	case st.Refused > 0 && (st.Code == 2 || wantedMore(x.Message) || wantedMore(i.StderrTail())): // 2 is Go's, whose first words may be lost among stacks
		x.Kind, x.Limit = skalds.ExitLimit, skalds.LimitPIDs
		x.Message = refusedText(st.Refused, i.spec.Limits) + ": " + x.Message
	}
	return x
}

// wantedMore reports whether a text tells of a process or thread that could not be made.
func wantedMore(text string) bool {
	for _, sign := range []string{"failed to create new OS thread", "pthread_create failed", syscall.EAGAIN.Error(), "Resource temporarily unavailable", "can't start new thread"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func refusedText(refused int64, l skalds.Limits) string {
	return fmt.Sprintf("processes and threads: the limit is %d, and %d more were refused", l.PIDs, refused)
}

func (i *Instance) explain(finished *protocol.Finished, runErr error) skalds.Exit {
	st := i.Status()
	kill := i.reason()
	ended := false
	select {
	case <-i.done:
		ended = true
	default:
	}
	if finished != nil && (kill == nil || finished.Kind != protocol.FinishedStopped) {
		return explainFinished(*finished, kill)
	}
	x := skalds.Exit{Code: st.Code}
	if st.Signal != 0 {
		x.Signal = st.Signal.String()
	}
	switch {
	case kill != nil:
		x.Kind, x.Limit, x.Message = kill.Kind, kill.Limit, kill.Message
		if st.Code == 2 { // the Go runtime's, told to say where it stands
			x.Stack = cutStack(stacksOf(i.StderrTail()))
		}
		if finished != nil { // it left of its own accord: the signal that cleared up afterwards says nothing
			x.Code, x.Signal = 0, ""
			if finished.Message != "" && finished.Message != context.Canceled.Error() { // which tells less than our reason
				x.Message = finished.Message
			}
		}
	case !ended:
		x.Kind, x.Message = skalds.ExitRPCLost, "the process lives but its RPC failed"
		if runErr != nil {
			x.Message += ": " + runErr.Error()
		}
	case st.Signal != 0:
		x.Kind, x.Message = skalds.ExitSignal, "killed by "+signalName(st.Signal)+" from outside"
		if crash(st.Signal) {
			x.Message = "crashed by " + signalName(st.Signal)
		}
		if st.OOM {
			if st.OOMKills > 0 {
				x.Limit = memoryIfLimited(st.Peak, i.spec.Limits)
			}
			x.Kind, x.Message = skalds.ExitOOM, oomText(itself, st.Peak, i.spec.Limits)
		}
	default:
		explainExitCode(&x, st, i.StderrTail())
	}
	return x
}

func explainFinished(f protocol.Finished, kill *KillReason) skalds.Exit {
	x := skalds.Exit{Message: f.Message, Stack: cutStack(f.Stack), Permanent: f.Permanent}
	if f.Hook != "" && f.Hook != "Main" && f.Message != "" {
		x.Message = f.Hook + ": " + f.Message
	}
	switch f.Kind {
	case protocol.FinishedCompleted:
		x.Kind = skalds.ExitCompleted
	case protocol.FinishedPanic:
		x.Kind = skalds.ExitPanic
	case protocol.FinishedStopped:
		x.Kind, x.Message = skalds.ExitSignal, "stopped by SIGTERM from outside"
		x.Signal = syscall.SIGTERM.String()
		if kill != nil {
			x.Kind, x.Limit, x.Message = kill.Kind, kill.Limit, kill.Message
		}
	default:
		x.Kind = skalds.ExitError
	}
	return x
}

// explainExitCode reads what a Go program leaves on standard error when it dies by itself.
func explainExitCode(x *skalds.Exit, st Status, tail string) {
	x.Kind, x.Message = skalds.ExitExit, "ended by "+st.String()+" without a last word"+quoteTail(lastLine(tail))
	text := lastWordsOfGo(st.Code, tail)
	if text == "" {
		return
	}
	x.Message, _, _ = strings.Cut(text, "\n")
	x.Stack = cutStack(text)
	x.Kind = skalds.ExitPanic
	if strings.HasPrefix(text, "fatal error: runtime: out of memory") || strings.HasPrefix(text, "fatal error: runtime: cannot allocate memory") {
		x.Kind, x.Limit, x.Message = skalds.ExitLimit, skalds.LimitMemory, "memory: the system refused more ("+x.Message+")"
	}
}

// lastWordsOfGo is what the Go runtime wrote when it ended the process; empty: it did not.
func lastWordsOfGo(code int, tail string) string {
	if code != 2 { // the runtime's
		return ""
	}
	start := -1
	for _, first := range []string{"panic: ", "fatal error: ", "SIGABRT: ", "SIGQUIT: ", "SIGSEGV: ", "SIGBUS: ", "SIGFPE: ", "SIGILL: ", "SIGTRAP: "} {
		start = max(start, strings.LastIndex("\n"+tail, "\n"+first))
	}
	if start < 0 {
		return ""
	}
	return tail[start:]
}

// stacksOf is what a Go program writes at SIGQUIT, the task's own goroutine first: it would else be behind those of the
// runtime and of the connection, and too many of them.
func stacksOf(tail string) string {
	if at := strings.LastIndex("\n"+tail, "\nSIGQUIT: "); at >= 0 { // else there were so many that the first are lost
		tail = tail[at:]
	}
	var own, others []string
	for _, part := range strings.Split(tail, "\n\n") {
		switch {
		case !strings.HasPrefix(part, "goroutine "): // heads, registers
		case strings.Contains(part, "/plugin-sdk.runAttempt("):
			own = append(own, part)
		default:
			others = append(others, part)
		}
	}
	return strings.Join(append(own, others...), "\n\n")
}

func cutStack(s string) string {
	if len(s) > maxStack {
		return strings.ToValidUTF8(s[:maxStack], "") + "\n…"
	}
	return s
}

// crash reports whether a signal is one that a process brings upon itself.
func crash(s syscall.Signal) bool {
	switch s {
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGSYS:
		return true
	}
	return false
}

func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGKILL:
		return "SIGKILL"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGSEGV:
		return "SIGSEGV"
	case syscall.SIGABRT:
		return "SIGABRT"
	case syscall.SIGBUS:
		return "SIGBUS"
	}
	return s.String()
}
