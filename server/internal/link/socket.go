package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// ErrStranger is returned for a peer that runs as another user.
var ErrStranger = errors.New("the process at the other end of the socket belongs to another user")

func checkPeer(conn net.Conn) error {
	uid, err := PeerUID(conn.(*net.UnixConn))
	if err != nil {
		return fmt.Errorf("the user at the other end of the socket can't be told: %w", err)
	}
	if uid != os.Getuid() {
		return ErrStranger
	}
	return nil
}

// Client speaks HTTP to the service in a runtime folder, and only to one of our own user.
func Client(dir string) *http.Client {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "unix", Socket(dir))
			if err != nil {
				return nil, err
			}
			if err := checkPeer(conn); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return conn, nil
		},
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// URL is the address of a path on the service's socket; the host says nothing.
func URL(path string) string { return "http://service" + path }

// Listener accepts only peers of our own user.
type Listener struct{ net.Listener }

// Listen opens the service's socket.
func Listen(dir string) (*Listener, error) { return listenAt(Socket(dir)) }

// listenAt opens a socket under a name of its own and then puts it in place, so that a socket that can be found
// can be connected to, and one that was there before is replaced in one step.
func listenAt(path string) (*Listener, error) {
	own := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(own)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: own, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // by then the name is another service's
	if err := os.Rename(own, path); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &Listener{listener}, nil
}

// Accept waits for the next peer of our own user; strangers are hung up on.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if checkPeer(conn) == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
}
