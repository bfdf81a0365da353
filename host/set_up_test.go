package host

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// A bus whose topics are being made is no news in the first seconds, and is later.
func TestABusThatIsSetUpIsNoFault(t *testing.T) {
	made, other := fmt.Errorf("send: %w", skalds.ErrBusNew), errors.New("refused")
	if now, before := time.Now(), time.Now().Add(-2*setUpTime); !settingUp(made, now) || settingUp(made, before) || settingUp(other, now) {
		t.Errorf("new: %v, later: %v, another: %v", settingUp(made, now), settingUp(made, before), settingUp(other, now))
	}
}
