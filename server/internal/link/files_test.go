package link

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// TestAListeningSocketOutlivesItsFirstHolder passes a socket on, closes the first copy, and connects meanwhile: the
// connection waits in the backlog and is served by the second holder.
func TestAListeningSocketOutlivesItsFirstHolder(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	var offered atomic.Pointer[os.File]
	offered.Store(first)
	offer, err := OfferFile(dir, offered.Load)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = offer.Close() })
	held, err := FetchFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(listener.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	early, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
	if err != nil {
		t.Fatal("refused while only the copy is left: ", err)
	}
	second, err := net.FileListener(held)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	go func() {
		if conn, err := second.Accept(); err == nil {
			_, _ = io.WriteString(conn, "220")
			_ = conn.Close()
		}
	}()
	_ = early.SetReadDeadline(time.Now().Add(2 * time.Second))
	if greeting, err := io.ReadAll(early); err != nil || string(greeting) != "220" {
		t.Fatalf("%q %v", greeting, err)
	}
	offered.Store(nil)
	if _, err := FetchFile(dir); !errors.Is(err, ErrNoSocket) {
		t.Error(err)
	}
}
