package service

import "time"

// aloneAfter is how long there may be no shim. Mattermost starts one that died again within 30 s; where it does not
// for that long it has given the plugin up, or it was switched off or removed after that, which nobody is told of.
const aloneAfter = 2 * time.Minute

// lookForShim is how often that is looked at.
const lookForShim = 5 * time.Second

// shimCame and shimLeft follow the shims' streams.
func (s *service) shimCame() {
	s.shims.Lock()
	defer s.shims.Unlock()
	s.shims.streams++
}

func (s *service) shimLeft() {
	s.shims.Lock()
	defer s.shims.Unlock()
	s.shims.streams--
	s.shims.left = time.Now()
}

// attached is whether a shim listens.
func (s *service) attached() bool {
	s.shims.Lock()
	defer s.shims.Unlock()
	return s.shims.streams > 0
}

// alone is since when there has been no shim; false while that is not long.
func (s *service) alone() (since time.Time, alone bool) {
	s.shims.Lock()
	defer s.shims.Unlock()
	return s.shims.left, s.shims.streams == 0 && time.Since(s.shims.left) >= aloneAfter
}

// watchShim tells the admins when this service is alone with the relay on: it carries on, but not beyond the server's
// restart, and no one else would tell them (R23).
func (s *service) watchShim() {
	said, told := false, false
	for {
		since, alone := s.alone()
		if alone && !said {
			s.log.Error("Mattermost does not run the plugin any more: mail goes on until the server is restarted; enable the plugin again",
				"since", since.UTC().Format(time.RFC3339), "relay", s.flows.RelayIsOn())
		}
		said = alone
		if told = alone && told; alone && !told && s.flows.RelayIsOn() {
			err := s.flows.TellOrphaned(s.ctx, since)
			if told = err == nil; err != nil {
				s.log.Warn("the admins could not be mailed about the plugin yet", "error", err)
			}
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(lookForShim):
		}
	}
}
