package outbox

import (
	"testing"
	"time"
)

func TestAnOrdinaryRequestIsWorkedOnAtOnce(t *testing.T) {
	var f flood
	f.count(3)
	started := time.Now()
	f.standBack(t.Context())
	if waited := time.Since(started); waited > floodPause {
		t.Errorf("it waited %s", waited)
	}
}

func TestAFloodIsTakenFirstAndMailLeavesAllTheSame(t *testing.T) {
	var f flood
	f.count(floodAbove + 1)
	if !f.on() {
		t.Fatal("no flood")
	}
	stop := make(chan struct{})
	go func() { // it goes on and on
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				f.count(floodAbove)
			}
		}
	}()
	started := time.Now()
	f.standBack(t.Context())
	close(stop)
	if waited := time.Since(started); waited < floodPatience || waited > 10*floodPatience {
		t.Errorf("it waited %s", waited)
	}
	time.Sleep(3 * floodWindow)
	if f.on() {
		t.Error("the flood is over and was not noticed")
	}
}
