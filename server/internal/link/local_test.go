package link

import "testing"

func TestLocalBase(t *testing.T) {
	for _, c := range []struct {
		listen, site, want string
		tls                bool
	}{
		{":8065", "https://chat.example.com", "http://127.0.0.1:8065", false},
		{":8065", "https://chat.example.com/sub/", "http://127.0.0.1:8065/sub", false},
		{"0.0.0.0:8065", "", "http://127.0.0.1:8065", false},
		{"[::]:443", "https://x", "https://127.0.0.1:443", true},
		{"127.0.0.1:8065", "http://x", "http://127.0.0.1:8065", false},
		{"10.1.2.3:8065", "http://x/a/b", "http://10.1.2.3:8065/a/b", false},
		{"[fd00::1]:8065", "http://x", "http://[fd00::1]:8065", false},
		{"localhost:http", "http://x", "http://localhost:80", false},
		{":https", "http://x", "https://127.0.0.1:443", true},
		{":", "http://x", "https://127.0.0.1:443", true},
		{"", "http://x", "http://127.0.0.1:80", false},
		{"mm.internal", "http://x", "http://mm.internal:80", false},
	} {
		if got, err := LocalBase(c.listen, c.tls, c.site); err != nil || got != c.want {
			t.Errorf("%q %v %q: %q %v, want %q", c.listen, c.tls, c.site, got, err, c.want)
		}
	}
	if _, err := LocalBase("unix:/run/mm.sock", false, "http://x"); err == nil {
		t.Error("a socket's path was taken for an address")
	}
}
