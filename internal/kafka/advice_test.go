package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/skalds-go/skalds"
)

// Silence says nothing of passwords, and topics that are being made at a start are no fault.
func TestAdvice(t *testing.T) {
	c := &conn{health: &health{brokers: "k:9092"}, closed: make(chan struct{})}
	c.begun.Store(true)
	late := fmt.Errorf("ask: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		err       error
		want, not string
	}{
		{late, "the bus at k:9092 has not answered in time", "password"},
		{fmt.Errorf("dial: %w", os.ErrDeadlineExceeded), "has not answered in time", "password"},
		{io.EOF, "check that Kafka runs there and takes our user and password", "in time"},
		{kerr.SaslAuthenticationFailed, "refuses us", "in time"},
	} {
		if got := c.fault("send", tt.err).Error(); !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
			t.Errorf("%v: %s", tt.err, got)
		}
	}
	c.begun.Store(false)
	if err := c.fault("send", late); !errors.Is(err, skalds.ErrBusNew) || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "password") {
		t.Error(err)
	}
	if err := c.fault("send", io.EOF); errors.Is(err, skalds.ErrBusNew) {
		t.Error(err)
	}
}
