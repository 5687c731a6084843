package service

import "postroom/server/internal/flow"

// relayPort is this node's relay.
func (s *service) relayPort() (flow.RelayPort, error) {
	if port := s.port.Load(); port != nil {
		return *port, nil
	}
	return flow.RelayPort{}, flow.ErrNoRelay
}

func (s *service) openRelay() error { return nil }
