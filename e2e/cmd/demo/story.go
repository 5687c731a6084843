package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"postroom/e2e/harness"
)

const (
	waitLimit   = 30 * time.Second
	tick        = 500 * time.Millisecond
	newPassword = "Another-horse-2"
)

var errNothingNew = errors.New("no new mail")

// story is the journey, a chapter a method.
type story struct {
	stage *harness.Stage
	node  *harness.Node
	admin *harness.Client
	anna  *harness.User
	sink  *harness.Sink
}

func (s *story) forgottenPassword() error {
	stranger := s.node.Client

	step("Anna has forgotten her password and asks for a link")
	if err := s.request("password/reset/send", s.anna.Email); err != nil {
		return err
	}
	if err := s.request("password/reset/send", "nobody@example.com"); err != nil {
		return err
	}
	s.stage.Say("the same answer for an address that nobody has")

	step("The mail, as the SMTP server at the other end received it")
	mail, err := harness.WaitMail(s.sink, s.anna.Email, 1, waitLimit)
	if err != nil {
		return err
	}
	for _, line := range s.sink.Conversation() {
		fmt.Println("  " + strings.ReplaceAll(line, "\n", "\n  S: "))
	}
	printMail(mail.Raw)
	if strangers, err := s.sink.To("nobody@example.com"); err != nil || len(strangers) != 0 {
		return fmt.Errorf("the unknown address was sent %d mails (%v)", len(strangers), err)
	}

	step("She opens the link")
	link, token, err := mail.Link()
	if err != nil {
		return err
	}
	page, err := stranger.Do("GET", link.RequestURI(), nil)
	if err != nil {
		return err
	}
	if page.Status != 200 {
		return fmt.Errorf("the landing page: %s", page)
	}
	s.stage.Say("GET %s: HTTP %d, a page titled %q; opening it redeems nothing", shorten(link.RequestURI()), page.Status, title(page.Body))

	step("She types a password that is too short, then a good one")
	for _, password := range []string{"short", newPassword} {
		reply, err := stranger.Do("POST", harness.Plugin+"/reset", url.Values{
			"token": {token}, "new_password": {password}, "confirm_password": {password},
		})
		if err != nil {
			return err
		}
		s.stage.Say("POST /plugins/postroom/reset with %q: HTTP %d, %q", password, reply.Status, title(reply.Body))
		if password == newPassword && reply.Status != 200 {
			return fmt.Errorf("the new password was refused: %s", reply)
		}
	}

	step("She logs in")
	if _, err := stranger.Login(s.anna.Username, newPassword); err != nil {
		return err
	}
	s.stage.Say("the new password: welcome")
	var refused *harness.RefusedError
	if _, err := stranger.Login(s.anna.Username, s.anna.Password); !errors.As(err, &refused) {
		return fmt.Errorf("the old password still works (%v)", err)
	}
	s.stage.Say("the old password: refused (HTTP %d)", refused.Reply.Status)
	again, err := stranger.Do("GET", link.RequestURI(), nil)
	if err != nil {
		return err
	}
	s.stage.Say("the link once more: HTTP %d, %q", again.Status, title(again.Body))
	return nil
}

func (s *story) verification() error {
	step("Ben's address is verified")
	ben, err := s.admin.CreateUser("ben", "de")
	if err != nil {
		return err
	}
	if err := s.request("email/verify/send", ben.Email); err != nil {
		return err
	}
	mail, err := harness.WaitMail(s.sink, ben.Email, 1, waitLimit)
	if err != nil {
		return err
	}
	s.stage.Say("the mail's subject, in Ben's language: %q", mail.Subject)
	link, token, err := mail.Link()
	if err != nil {
		return err
	}
	page, err := s.node.Client.Do("GET", link.RequestURI(), nil)
	if err != nil {
		return err
	}
	s.stage.Say("he opens the link: HTTP %d, %q", page.Status, title(page.Body))
	reply, err := s.node.Client.Do("POST", harness.Plugin+"/verify", url.Values{"token": {token}})
	if err != nil {
		return err
	}
	s.stage.Say("he presses the button: HTTP %d, %q", reply.Status, title(reply.Body))
	var account struct {
		Verified bool `json:"email_verified"`
	}
	self, err := s.node.Client.Login(ben.Username, ben.Password)
	if err != nil {
		return err
	}
	if err := self.Must("GET", "/api/v4/users/me", nil, &account); err != nil {
		return err
	}
	if !account.Verified {
		return errors.New("the address is still not verified")
	}
	s.stage.Say("Mattermost's account says: email_verified = true")
	return nil
}

func (s *story) testMail() error {
	step("The admin tests the connection")
	before := len(s.sink.Mails())
	reply, err := s.admin.Do("POST", harness.Plugin+"/api/v4/email/test", nil)
	if err != nil {
		return err
	}
	s.stage.Say("POST /plugins/postroom/api/v4/email/test: %s", reply)
	if reply.Status != 200 {
		return errors.New("the test mail did not leave")
	}
	if len(s.sink.Mails()) != before+1 {
		return errors.New("the test mail was not received")
	}
	s.sink.Behave(harness.Behaviour{Replies: map[string]string{"RCPT": "550 5.7.1 We don't know you"}})
	reply, err = s.admin.Do("POST", harness.Plugin+"/api/v4/email/test", nil)
	if err != nil {
		return err
	}
	s.sink.Behave(harness.Behaviour{})
	s.stage.Say("and with a server that refuses: %s", reply)
	if reply.Status != 500 {
		return errors.New("a refused test mail was called a success")
	}

	step("What the outbox says")
	return s.list()
}

// list prints the outbox's newest mails.
func (s *story) list() error {
	mails, err := s.admin.Mails()
	if err != nil {
		return err
	}
	for _, mail := range mails {
		fmt.Printf("  %-15s %-6s to %-20s %s\n", mail.Kind, mail.State, mail.MaskedTo, mail.ReplyText)
	}
	return nil
}

// request posts an address to one of the two public routes and shows the answer.
func (s *story) request(route, address string) error {
	path := harness.Plugin + "/api/v4/users/" + route
	reply, err := s.node.Client.Do("POST", path, map[string]string{"email": address})
	if err != nil {
		return err
	}
	s.stage.Say("POST %s {\"email\":%q}: %s", path, address, strings.TrimSpace(reply.String()))
	if reply.Status != 200 {
		return errors.New("the request was not accepted")
	}
	return nil
}

var titlePattern = regexp.MustCompile(`(?s)<title>(.*?)</title>`)

func title(page []byte) string {
	found := titlePattern.FindSubmatch(page)
	if found == nil {
		return ""
	}
	return strings.TrimSpace(string(found[1]))
}

// shorten hides most of a token, as a terminal is no place for one.
func shorten(uri string) string {
	before, token, _ := strings.Cut(uri, "token=")
	return before + "token=" + token[:min(6, len(token))] + "…"
}
