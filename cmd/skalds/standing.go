package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/host"
)

// answerWithin is how long our own REST may take.
const answerWithin = 5 * time.Second

// standing is how the program is.
type standing struct {
	up    bool
	text  string // one line for people
	stuck string // what will not go on by itself; empty: everything moves
}

// lookAtHost is a host by itself.
func lookAtHost(h *host.Host) func(context.Context) standing {
	return func(context.Context) standing {
		s := h.Standing()
		return standing{s.Up, s.Text, s.Stuck}
	}
}

// lookAtController is a controller that serves at an address: it is up when REST answers and the store is there.
func lookAtController(c *controller.Controller, h api.Health, at net.Addr) func(context.Context) standing {
	return func(ctx context.Context) standing {
		var s standing
		ready := h.Ready(ctx)
		answers := restAnswers(ctx, at)
		s.stuck = c.Stuck()
		if answers != nil && s.stuck == "" {
			s.stuck = answers.Error()
		}
		s.up = answers == nil && ready["store"] == ""
		var wrong []string
		for _, name := range slices.Sorted(maps.Keys(ready)) {
			if ready[name] != "" {
				wrong = append(wrong, name+": "+ready[name])
			}
		}
		s.text = "serves " + at.String()
		if len(wrong) > 0 {
			s.text += ", not ready: " + strings.Join(wrong, "; ")
		}
		return s
	}
}

// restAnswers asks our own REST as anybody would. Any answer that is no failure of the server will do: it may want another name for it.
func restAnswers(ctx context.Context, at net.Addr) error {
	addr := at.String()
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		addr = net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/livez", nil)
	if err != nil {
		return fmt.Errorf("ask REST: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("REST does not answer: %w", err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode >= http.StatusInternalServerError {
		err = fmt.Errorf("it says %s", res.Status)
	}
	if err != nil {
		return fmt.Errorf("REST fails: %w", err)
	}
	return nil
}
