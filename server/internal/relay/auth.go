package relay

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Credentials are what Mattermost logs in with. Password is secret.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Username is every relay's.
const Username = "postroom-relay"

// NewCredentials makes some; the password is 32 random octets, as base64url.
func NewCredentials() (Credentials, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return Credentials{}, err
	}
	return Credentials{Username: Username, Password: base64.RawURLEncoding.EncodeToString(secret[:])}, nil
}

// failuresAllowed are wrong logins on one connection.
const failuresAllowed = 3

// AuthMechanisms are those that Mattermost knows (RFC 4616, and LOGIN, which never became one).
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth begins one of them.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, username, password string) error {
			if identity != "" && identity != username {
				return s.login("", "")
			}
			return s.login(username, password)
		}), nil
	case sasl.Login:
		return &loginServer{check: s.login}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *session) login(username, password string) error {
	r := s.relay
	same := subtle.ConstantTimeCompare([]byte(username), []byte(r.credentials.Username)) &
		subtle.ConstantTimeCompare([]byte(password), []byte(r.credentials.Password))
	if same != 1 {
		if s.failures++; s.failures >= failuresAllowed {
			s.conn.end()
		}
		r.log.Warn("Somebody on this machine tried to log in to the relay with wrong credentials")
		return smtp.ErrAuthFailed
	}
	s.authed = true
	s.conn.limit(time.Now().Add(r.limits.Session))
	return nil
}

// loginServer is AUTH LOGIN, in the words that Mattermost's client waits for.
type loginServer struct {
	check    func(username, password string) error
	username *string
	asked    bool
}

// Next is sasl.Server's.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case !l.asked && len(response) == 0:
		l.asked = true
		return []byte("Username:"), false, nil
	case l.username == nil:
		username := string(response)
		l.username, l.asked = &username, true
		return []byte("Password:"), false, nil
	case l.check == nil:
		return nil, false, errors.New("AUTH LOGIN goes on after its end")
	}
	check := l.check
	l.check = nil
	return nil, true, check(*l.username, string(response))
}
