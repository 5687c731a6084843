package relay

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"testing"
)

func base64of(text []byte) string { return base64.StdEncoding.EncodeToString(text) }

// scripted is a connection that reads what it is told, in pieces.
type scripted struct {
	net.Conn
	left []byte
	size int
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.size)], s.left)
	s.left = s.left[n:]
	return n, nil
}

// FuzzLineEnds: whatever the octets and however they are cut, what comes through has CR and LF in pairs only, and is
// the beginning of what was sent.
func FuzzLineEnds(f *testing.F) {
	for _, seed := range []string{"a\r\nb\r\n", "a\nb", "\r\r\n", "\n", "a\r", "\r\n.\r\n"} {
		f.Add([]byte(seed), 1)
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, sent []byte, size int) {
		c := &conn{Conn: &scripted{left: sent, size: 1 + max(0, size%7)}}
		got, err := io.ReadAll(c)
		if !bytes.HasPrefix(sent, got) {
			t.Fatalf("%q became %q", sent, got)
		}
		pairs := bytes.ReplaceAll(got, []byte("\r\n"), nil)
		if at := bytes.IndexAny(pairs, "\r\n"); at >= 0 && !(at == len(pairs)-1 && pairs[at] == '\r') { // one CR may wait for its LF
			t.Fatalf("%q came through", got)
		}
		whole := bytes.ReplaceAll(sent, []byte("\r\n"), nil)
		if clean := !bytes.ContainsAny(whole, "\r\n"); clean != (err == nil && len(got) == len(sent)) && !bytes.HasSuffix(sent, []byte("\r")) {
			t.Fatalf("%q: %q, %v", sent, got, err)
		}
		if n, err := c.Read(make([]byte, 8)); n != 0 || err == nil {
			t.Fatal("reads on after its end")
		}
	})
}
