package service

import (
	"errors"
	"time"

	"postroom/server/internal/flow"
	"postroom/server/internal/link"
	"postroom/server/internal/store"
)

const (
	// sayHereEvery is how often this node tells the others how its relay does, lookSoon how often where something is wrong.
	sayHereEvery = 5 * time.Second
	lookSoon     = time.Second
	checkWithin  = 4 * time.Second
	// failuresBeforeBack is how many checks in a row must fail before Mattermost's mail is pointed back.
	failuresBeforeBack = 2
	// replaceWithin is what a mail under way may take when a relay is replaced by another.
	replaceWithin = 5 * time.Second
	// askBackEvery is when a switch that was not made is asked for again.
	askBackEvery = 20 * time.Second
)

// keepRelay keeps the relay open, logs in to it as Mattermost would, and tells the other nodes how that went. A relay
// that takes no mail while Mattermost's settings name it is a mail lost with each that Mattermost sends: they are put
// back at once (R19). A relay that is off moves away from a port that a stranger has.
func (s *service) keepRelay() {
	failures, said := 0, ""
	for {
		taken, problem := s.tendRelay()
		if s.ctx.Err() != nil {
			return
		}
		if failures++; problem == nil || errors.Is(problem, flow.ErrOtherKey) {
			failures = 0
		}
		s.sayHere(problem)
		if now := text(problem); now != said {
			if said = now; problem != nil {
				s.log.Warn("the relay of this node is not well", "why", problem)
			}
		}
		on := s.flows.RelayIsOn()
		s.putBack(on && (taken || failures >= failuresBeforeBack), problem)
		if taken && !on {
			s.moveRelay()
		}
		if !s.flows.UpstreamKnown() {
			s.reapply()
		}
		wait := sayHereEvery
		if problem != nil {
			wait = lookSoon
		}
		select {
		case <-s.ctx.Done():
			return
		case <-s.relayFailed():
		case <-time.After(wait):
		}
	}
}

// tendRelay opens the relay where it is not open, on the port and with the secrets that all nodes have now. taken is
// whether somebody else has its port; problem is why it takes no mail, nil where it does.
func (s *service) tendRelay() (taken bool, problem error) {
	var other error
	if mark, err := s.flows.RelayMark(s.ctx); err == nil && s.mark() != "" && mark != "" && mark != s.mark() {
		switch secrets, err := s.flows.NewerRelaySecrets(s.ctx); {
		case err == nil:
			s.replaceRelay(secrets)
		case errors.Is(err, flow.ErrOtherKey):
			other = err
		}
	}
	s.relayMutex.Lock()
	select {
	case <-s.relayFailed():
		s.dropRelay()
	default:
	}
	err := s.listenRelay()
	s.relayMutex.Unlock()
	if err != nil {
		return errors.Is(err, errPortTaken), err
	}
	if s.ctx.Err() != nil {
		return false, nil
	}
	if err := s.checkRelay(); err != nil {
		return false, err
	}
	return false, other
}

func (s *service) mark() string {
	s.relayMutex.Lock()
	defer s.relayMutex.Unlock()
	if s.secrets == nil {
		return ""
	}
	return s.secrets.Mark
}

// never is the failure of a relay that is not there.
var never = make(chan struct{})

func (s *service) relayFailed() <-chan struct{} {
	relay := s.relay.Load()
	if relay == nil {
		return never
	}
	return relay.Failed()
}

// replaceRelay goes over to another port and other secrets.
func (s *service) replaceRelay(secrets *flow.RelaySecrets) {
	s.relayMutex.Lock()
	s.dropRelay()
	s.useSecrets(secrets)
	s.relayMutex.Unlock()
	s.reapply() // what the settings name is to be told anew
}

// moveRelay takes another port, and a password that whoever has the old one has not heard.
func (s *service) moveRelay() {
	secrets, err := s.flows.MoveRelay(s.ctx)
	if err != nil {
		s.log.Warn("the relay could not be moved to another port", "error", err)
		return
	}
	s.log.Warn("the relay has moved, as another program listens on its port", "port", secrets.Port)
	s.replaceRelay(secrets)
}

// sayHere tells the other nodes how this one's relay does.
func (s *service) sayHere(problem error) {
	here := store.Node{Name: s.node, Relay: s.mark(), Problem: text(problem), Pointed: s.flows.RelayIsOn()}
	if err := s.store.SayHere(s.ctx, here, s.attached()); err != nil {
		s.log.Debug("this node could not say that it is there", "error", err)
	}
}

func text(problem error) string {
	if problem == nil {
		return ""
	}
	return problem.Error()
}

// putBack has the shim put Mattermost's settings back, now and until it has.
func (s *service) putBack(wanted bool, problem error) {
	before := s.wantBack.Swap(wanted)
	if !wanted {
		s.askedBack.Store(0)
		return
	}
	if !before {
		s.log.Error("the relay of this node takes no mail; Mattermost's own settings are put back", "why", problem)
	}
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// wayBackLine is the line that has the shim put them back; an empty one where there is nothing to put back.
func (s *service) wayBackLine() link.Line {
	if !s.wantBack.Load() || time.Since(time.UnixMilli(s.askedBack.Load())) < askBackEvery {
		return link.Line{}
	}
	back, err := s.flows.WayBack(s.ctx)
	if err != nil {
		s.log.Error("how Mattermost's mail is pointed back is not known", "error", err)
	}
	if back != nil || err != nil {
		s.askedBack.Store(time.Now().UnixMilli())
	}
	return link.Line{Switch: back}
}

// order has the shim do something; with a shim that does not listen, what is ordered is dropped and ordered again.
func (s *service) order(line link.Line) {
	select {
	case s.orders <- line:
	default:
	}
}
