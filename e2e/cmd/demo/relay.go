package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"postroom/e2e/harness"
)

// relay is the journey again by Mattermost's own endpoint, which no proxy was told about.
func (s *story) relay() error {
	step("The admin routes Mattermost's own mail through Postroom")
	var status struct {
		Enabled, Healthy bool
		Address          string
	}
	if err := harness.Eventually(waitLimit, func() error {
		return s.admin.Must("POST", harness.Plugin+"/api/v1/relay/enable", nil, &status)
	}); err != nil {
		return err
	}
	s.stage.Say("POST /plugins/postroom/api/v1/relay/enable: enabled %v, healthy %v, Mattermost sends to %s", status.Enabled, status.Healthy, status.Address)
	if !status.Enabled {
		return errors.New("the relay is not on")
	}

	step("Carla has forgotten her password; her client knows nothing of Postroom")
	carla, err := s.admin.CreateUser("carla", "ja")
	if err != nil {
		return err
	}
	reply, err := s.node.Client.Do("POST", "/api/v4/users/password/reset/send", map[string]string{"email": carla.Email})
	if err != nil {
		return err
	}
	s.stage.Say("POST /api/v4/users/password/reset/send, Mattermost's own: %s", strings.TrimSpace(reply.String()))
	var token string
	if err := harness.Eventually(waitLimit, func() error {
		mails, err := s.sink.All(carla.Email)
		for _, mail := range mails {
			var link *url.URL
			if link, token, err = mail.Link(); err == nil {
				s.stage.Say("her mail's subject: %q, its link: %s", mail.Subject, shorten(link.RequestURI()))
				return nil
			}
		}
		return fmt.Errorf("no link yet (%w)", errors.Join(errNothingNew, err))
	}); err != nil {
		return err
	}
	reply, err = s.node.Client.Do("POST", harness.Plugin+"/reset", url.Values{
		"token": {token}, "new_password": {newPassword}, "confirm_password": {newPassword},
	})
	if err != nil {
		return err
	}
	s.stage.Say("she chooses a new password: HTTP %d, %q", reply.Status, title(reply.Body))
	if _, err := s.node.Client.Login(carla.Username, newPassword); err != nil {
		return err
	}
	s.stage.Say("she logs in")

	step("What the outbox says: Mattermost's welcome and its note of the new password are there too")
	if err := s.list(); err != nil {
		return err
	}
	step("And back")
	if err := s.admin.Must("POST", harness.Plugin+"/api/v1/relay/disable", nil, &status); err != nil {
		return err
	}
	s.stage.Say("POST /plugins/postroom/api/v1/relay/disable: enabled %v; Mattermost's settings are what they were", status.Enabled)
	return nil
}
