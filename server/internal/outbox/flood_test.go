package outbox

import (
	"testing"
	"time"
)

func TestAnOrdinaryRequestIsWorkedOnAtOnce(t *testing.T) {
	var f flood
	f.count(floodAbove)
	started := time.Now()
	f.standBack(t.Context())
	if waited := time.Since(started); waited > floodPatience/2 {
		t.Errorf("it waited %s", waited)
	}
}

func TestAFloodIsTakenFirstAndMailLeavesAllTheSame(t *testing.T) {
	f := flood{window: time.Now().Add(time.Hour), now: floodAbove + 1} // a flood without end
	started := time.Now()
	f.standBack(t.Context())
	if waited := time.Since(started); waited < floodPatience || waited > 10*floodPatience {
		t.Errorf("it waited %s", waited)
	}
	f.window = time.Now().Add(-2 * floodWindow)
	if f.on() {
		t.Error("the flood is over and was not noticed")
	}
}
