package redis

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Silence, and a port where nobody listens, say nothing of passwords and TLS.
func TestAdviceOnSilence(t *testing.T) {
	for _, tt := range []struct {
		err       error
		want, not string
	}{
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), "has not answered in time", "TLS"},
		{context.DeadlineExceeded, "has not answered in time", "TLS"},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), "nobody listens there", "TLS"},
		{io.EOF, "wants no TLS on that port", "in time"},
	} {
		if got := fault(Config{Addr: "r:6379"}, "ask", tt.err).Error(); !strings.HasPrefix(got, "ask: Redis at r:6379 ") || !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
			t.Errorf("%v: %s", tt.err, got)
		}
	}
}
