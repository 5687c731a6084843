package harness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Message is a mail taken apart.
type Message struct {
	Raw          []byte
	EnvelopeFrom string
	Header       mail.Header
	Subject      string
	Text, HTML   string
}

// ParseMessage reads a mail and keeps its text and its HTML part, wherever they are (RFC 2046); pictures are left out.
func ParseMessage(raw []byte) (*Message, error) {
	read, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	message := &Message{Raw: raw, Header: read.Header}
	if message.Subject, err = new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject")); err != nil {
		return nil, err
	}
	return message, message.part(read.Header.Get("Content-Type"), read.Header.Get("Content-Transfer-Encoding"), read.Body)
}

// Ours tells a mail of Postroom's from one that Mattermost sent by itself.
func (m *Message) Ours() bool { return m.Header.Get("X-Auto-Response-Suppress") != "" }

func onlyOurs(mails []*Message, err error) ([]*Message, error) {
	return slices.DeleteFunc(mails, func(m *Message) bool { return !m.Ours() }), err
}

func (m *Message) part(contentType, encoding string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("Content-Type %q: %w", contentType, err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			// NextRawPart, so that quoted-printable is decoded in one place, below.
			next, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.part(next.Header.Get("Content-Type"), next.Header.Get("Content-Transfer-Encoding"), next); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	switch kind {
	case "text/html":
		m.HTML = string(text)
	case "text/plain":
		m.Text = string(text)
	}
	return nil
}

var linkPattern = regexp.MustCompile(`https?://[^\s<>"]+/plugins/postroom/(?:reset|verify)\?[^\s<>"]+`)

// Link is the landing page's address in the text part, and its token.
func (m *Message) Link() (link *url.URL, token string, err error) {
	found := linkPattern.FindString(m.Text)
	if found == "" {
		return nil, "", fmt.Errorf("the text part has no link to a landing page:\n%s", m.Text)
	}
	link, err = url.Parse(found)
	if err != nil {
		return nil, "", err
	}
	token = link.Query().Get("token")
	if token == "" {
		return nil, "", errors.New("the link has no token")
	}
	return link, token, nil
}
