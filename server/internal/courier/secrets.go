package courier

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"postroom/server/internal/core"
)

// secrets is what must not be told of a conversation: what the connection holds, and what was said to prove it.
type secrets struct{ all []string }

const hidden = "[secret]"

// shortest is how long a secret must be to be looked for: a shorter one is in every second word.
const shortest = 4

func secretsOf(to core.Connection) *secrets {
	s := &secrets{}
	s.add(to.Password)
	if to.OAuth != nil {
		s.add(to.OAuth.ClientSecret, to.OAuth.RefreshToken)
	}
	return s
}

// add keeps more, in each form in which a peer or an error may give it back.
func (s *secrets) add(more ...string) {
	for _, secret := range more {
		if len(secret) < shortest {
			continue
		}
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
			hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		} {
			if !slices.Contains(s.all, form) {
				s.all = append(s.all, form)
			}
		}
	}
	// A secret that holds another goes first, or what is left of it would stay.
	slices.SortStableFunc(s.all, func(a, b string) int { return len(b) - len(a) })
}

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{6,}`)

// hide takes the secrets out of a text, also where they lie in something that is base64.
func (s *secrets) hide(text string) string {
	for _, secret := range s.all {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return encoded.ReplaceAllStringFunc(text, func(word string) string {
		if s.within(word) {
			return hidden
		}
		return word
	})
}

// within tries each place where the base64 may begin in the word; what comes before an error is decoded too.
func (s *secrets) within(word string) bool {
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for from := range min(4, len(word)) {
			plain, _ := encoding.DecodeString(word[from:])
			for _, secret := range s.all {
				if bytes.Contains(plain, []byte(secret)) {
					return true
				}
			}
		}
	}
	return false
}
