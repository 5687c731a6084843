package pgtest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Line stands between the code under test and PostgreSQL, and can be cut.
type Line struct {
	t    testing.TB
	port int

	mu       sync.Mutex
	listener net.Listener
	stalled  chan struct{} // closed when the line carries again
	open     map[net.Conn]bool
}

// NewLine gives a line to PostgreSQL that carries.
func NewLine(t testing.TB) *Line {
	t.Helper()
	line := &Line{t: t, open: map[net.Conn]bool{}}
	line.listen("127.0.0.1:0")
	line.port = line.listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(line.Cut)
	return line
}

// Port is where it listens.
func (l *Line) Port() int { return l.port }

// Cut breaks every connection and refuses new ones.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	l.release()
	for conn := range l.open {
		_ = conn.Close()
	}
}

// Stall leaves connections open and carries nothing.
func (l *Line) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled == nil {
		l.stalled = make(chan struct{})
	}
}

// Mend lets it carry again.
func (l *Line) Mend() {
	l.mu.Lock()
	cut := l.listener == nil
	l.release()
	l.mu.Unlock()
	if cut {
		l.listen((&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: l.port}).String())
	}
}

func (l *Line) release() {
	if l.stalled != nil {
		close(l.stalled)
		l.stalled = nil
	}
}

func (l *Line) listen(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(conn)
		}
	}()
}

func (l *Line) carry(conn net.Conn) {
	server, err := net.Dial("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: Port(l.t)}).String())
	if err != nil {
		_ = conn.Close()
		return
	}
	l.mu.Lock()
	l.open[conn], l.open[server] = true, true
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, conn) })
	both.Go(func() { l.copy(conn, server) })
	both.Wait()
	l.mu.Lock()
	delete(l.open, conn)
	delete(l.open, server)
	l.mu.Unlock()
}

func (l *Line) copy(to io.WriteCloser, from io.Reader) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		stalled := l.stalled
		l.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
