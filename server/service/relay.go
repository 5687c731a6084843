package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"postroom/server/internal/flow"
	"postroom/server/internal/link"
	"postroom/server/internal/relay"
)

// relayDescriptor is where the shim puts the relay's socket, if it holds one.
const relayDescriptor = 4

// relayPort is this node's relay.
func (s *service) relayPort() (flow.RelayPort, error) {
	if port := s.port.Load(); port != nil {
		return *port, nil
	}
	return flow.RelayPort{}, flow.ErrNoRelay
}

// useSecrets makes the relay's port and credentials these.
func (s *service) useSecrets(secrets *flow.RelaySecrets) {
	s.secrets = secrets
	s.port.Store(&flow.RelayPort{Port: secrets.Port, Username: secrets.Credentials.Username, Password: secrets.Credentials.Password})
}

// openRelay makes the relay, on the socket that the shim held meanwhile where there is one. Who connects waits in its
// backlog until startRelay. It may be called again after an error.
func (s *service) openRelay() error {
	s.relayMutex.Lock()
	defer s.relayMutex.Unlock()
	switch err := s.listenRelay(); {
	case err == nil:
	case errors.Is(err, errPortTaken), errors.Is(err, errNoListener), errors.Is(err, flow.ErrOtherKey):
		// Not fatal: the endpoints work without it, and keepRelay tries again and tells whom it concerns.
		s.log.Error("the relay can't listen", "error", err)
	default:
		return err
	}
	return nil
}

// startRelay begins to take mail.
func (s *service) startRelay() {
	s.relayMutex.Lock()
	defer s.relayMutex.Unlock()
	if relay := s.relay.Load(); relay != nil && !s.taking {
		relay.Start()
	}
	s.taking = true
	s.keeping.Do(func() { go s.keepRelay() })
}

// listenRelay opens the relay where there is none; under relayMutex.
func (s *service) listenRelay() error {
	if s.relay.Load() != nil || s.relayClosed {
		return nil
	}
	if s.secrets == nil {
		secrets, err := s.flows.RelaySecrets(s.ctx)
		if err != nil {
			return err
		}
		s.useSecrets(secrets)
	}
	listener, err := s.relayListener(s.secrets.Port)
	if err != nil {
		return err
	}
	file, err := listener.File()
	var made *relay.Relay
	if err == nil {
		made, err = relay.New(relay.Options{
			Listener: listener, Taker: s.flows, TLS: s.secrets.Certificate, Credentials: s.secrets.Credentials, Log: s.log, Metrics: s.metrics,
		})
	}
	if err != nil {
		_ = listener.Close()
		return err
	}
	s.relay.Store(made)
	s.relaySocket.Store(file)
	s.order(link.Line{Relay: true})
	if s.taking {
		made.Start()
	}
	return nil
}

// errPortTaken: the port is not ours, and whoever has it must get no mail.
var errPortTaken = errors.New("another program listens on the relay's port")

// errNoListener: the port could not be opened for another reason.
var errNoListener = errors.New("the relay's port can't be opened")

// relayListener is the socket that the shim held, at the first call, or a new one.
func (s *service) relayListener(port int) (*net.TCPListener, error) {
	if s.from.HasRelay {
		s.from.HasRelay = false
		held, err := net.FileListener(os.NewFile(relayDescriptor, "relay"))
		if tcp, ok := held.(*net.TCPListener); ok && err == nil && tcp.Addr().(*net.TCPAddr).Port == port {
			return tcp, nil
		}
		if err == nil {
			_ = held.Close()
		}
	}
	listener, err := relay.Listen(port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w, %d of 127.0.0.1", errPortTaken, port)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoListener, err)
	}
	return listener, nil
}

// dropRelay lets go of a relay that is replaced; the mails under way are still taken. Under relayMutex.
func (s *service) dropRelay() {
	old := s.relay.Swap(nil)
	if old == nil {
		return
	}
	if file := s.relaySocket.Swap(nil); file != nil {
		_ = file.Close()
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), replaceWithin)
		defer cancel()
		if err := old.Close(ctx); err != nil {
			s.log.Warn("a mail that was being handed over was broken off", "error", err)
		}
	}()
}

// checkRelay logs in as Mattermost would.
func (s *service) checkRelay() error {
	s.relayMutex.Lock()
	secrets := s.secrets
	s.relayMutex.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, checkWithin)
	defer cancel()
	return relay.Check(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(secrets.Port)), secrets.Certificate, secrets.Credentials)
}

// closeRelay takes no more mail and lets that under way be taken. The shim, or the next service, holds the socket.
func (s *service) closeRelay(ctx context.Context) {
	s.relayMutex.Lock()
	defer s.relayMutex.Unlock()
	s.relayClosed = true
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
