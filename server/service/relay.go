package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"postroom/server/internal/flow"
	"postroom/server/internal/link"
	"postroom/server/internal/relay"
)

const (
	// relayDescriptor is where the shim puts the relay's socket, if it holds one.
	relayDescriptor = 4
	// sayHereEvery is how often this node tells the others how its relay does.
	sayHereEvery = 5 * time.Second
	checkWithin  = 4 * time.Second
	// failuresBeforeBack is how many checks in a row must fail before Mattermost's mail is pointed back.
	failuresBeforeBack = 2
)

// relayPort is this node's relay.
func (s *service) relayPort() (flow.RelayPort, error) {
	if port := s.port.Load(); port != nil {
		return *port, nil
	}
	return flow.RelayPort{}, flow.ErrNoRelay
}

// openRelay makes the relay, on the socket that the shim held meanwhile where there is one. Who connects waits in its
// backlog until startRelay. It may be called again after an error.
func (s *service) openRelay() error {
	if s.relay.Load() != nil {
		return nil
	}
	secrets, err := s.flows.RelaySecrets(s.ctx)
	if err != nil {
		return err
	}
	s.port.Store(&flow.RelayPort{Port: secrets.Port, Username: secrets.Credentials.Username, Password: secrets.Credentials.Password})
	s.saying.Do(func() { go s.sayHere(secrets) })
	listener, err := s.relayListener(secrets.Port)
	if err != nil {
		// Not fatal: the endpoints work without it, and sayHere tells the other nodes and the admin.
		s.log.Error("the relay can't listen", "error", err)
		return nil
	}
	file, err := listener.File()
	var opened *relay.Relay
	if err == nil {
		opened, err = relay.New(relay.Options{
			Listener: listener, Taker: s.flows, TLS: secrets.Certificate, Credentials: secrets.Credentials, Log: s.log, Metrics: s.metrics,
		})
	}
	if err != nil {
		_ = listener.Close()
		return err
	}
	s.relay.Store(opened)
	s.relaySocket.Store(file)
	s.order(link.Line{Relay: true})
	return nil
}

// relayListener is the socket that the shim held, or a new one.
func (s *service) relayListener(port int) (*net.TCPListener, error) {
	if s.from.HasRelay {
		held, err := net.FileListener(os.NewFile(relayDescriptor, "relay"))
		if tcp, ok := held.(*net.TCPListener); ok && err == nil && tcp.Addr().(*net.TCPAddr).Port == port {
			return tcp, nil
		}
		if err == nil {
			_ = held.Close()
		}
	}
	listener, err := relay.Listen(port)
	if err != nil {
		return nil, fmt.Errorf("the port can't be had: %w", err)
	}
	return listener, nil
}

// order has the shim do something; with a shim that does not listen, what is ordered is dropped and ordered again.
func (s *service) order(line link.Line) {
	select {
	case s.orders <- line:
	default:
	}
}

// sayHere logs in to the relay as Mattermost would, and tells the other nodes how that went. A relay that takes no mail
// while Mattermost's settings name it is a mail lost with each that Mattermost sends: they are put back at once (R19).
func (s *service) sayHere(secrets *flow.RelaySecrets) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(secrets.Port))
	for failures := 0; ; {
		problem := ""
		ctx, cancel := context.WithTimeout(s.ctx, checkWithin)
		if err := relay.Check(ctx, address, secrets.Certificate, secrets.Credentials); err != nil {
			problem = err.Error()
		}
		cancel()
		if s.ctx.Err() != nil {
			return
		}
		if err := s.store.SayHere(s.ctx, s.node, problem); err != nil {
			s.log.Debug("this node could not say that it is there", "error", err)
		}
		failures++
		if problem == "" {
			failures = 0
		}
		if failures >= failuresBeforeBack {
			s.log.Error("the relay of this node takes no mail", "why", problem)
			if back, err := s.flows.WayBack(s.ctx); err == nil && back != nil {
				s.order(link.Line{Switch: back})
			}
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(sayHereEvery):
		}
	}
}

// closeRelay takes no more mail and lets that under way be taken. The shim, or the next service, holds the socket.
func (s *service) closeRelay(ctx context.Context) {
	relay := s.relay.Load()
	if relay == nil {
		return
	}
	if err := relay.Close(ctx); err != nil {
		s.log.Warn("a mail that was being handed over was broken off", "error", err)
	}
	if err := s.store.SayGone(ctx, s.node); err != nil {
		s.log.Debug("this node could not be taken off the list", "error", err)
	}
}
