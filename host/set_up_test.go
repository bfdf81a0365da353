package host

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// A bus that is new or slow is no news in the first seconds, and is later.
func TestABusThatIsSetUpIsNoFault(t *testing.T) {
	made, other := fmt.Errorf("send: %w", skalds.ErrBusNew), errors.New("refused")
	late := fmt.Errorf("send: %w", context.DeadlineExceeded)
	if !settingUp(late, time.Now()) || settingUp(late, time.Now().Add(-2*setUpTime)) {
		t.Error("a slow one is no news in the first seconds, and is later")
	}
	if now, before := time.Now(), time.Now().Add(-2*setUpTime); !settingUp(made, now) || settingUp(made, before) || settingUp(other, now) {
		t.Errorf("new: %v, later: %v, another: %v", settingUp(made, now), settingUp(made, before), settingUp(other, now))
	}
}
