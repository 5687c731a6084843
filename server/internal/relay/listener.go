package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// listener wraps each connection in TLS, deadlines and the check of line ends, and accepts no more than it may have
// open: whoever comes then waits, as Mattermost does not try again.
type listener struct {
	net.Listener
	tls    *tls.Config
	limits *Limits
	places chan struct{}
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	open map[*conn]bool
}

func newListener(inner net.Listener, config *tls.Config, limits *Limits) *listener {
	return &listener{Listener: inner, tls: config, limits: limits, places: make(chan struct{}, limits.Connections),
		closed: make(chan struct{}), open: map[*conn]bool{}}
}

// Accept is net.Listener's.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	plain, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	c := &conn{Conn: tls.Server(plain, l.tls), from: l}
	c.limit(time.Now().Add(l.limits.Login))
	l.mu.Lock()
	l.open[c] = true
	l.mu.Unlock()
	return c, nil
}

// Close is net.Listener's.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *listener) ended() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func (l *listener) breakOff() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Conn.Close()
	}
}

// errBareLineEnd is what reading ends with at a CR or LF that stands alone (S31).
var errBareLineEnd = errors.New("a line ended in a bare CR or LF")

// conn is one connection. Once reading has failed, whatever else comes is never read: the rest of a broken mail must
// not be taken for commands.
type conn struct {
	net.Conn
	from *listener
	once sync.Once

	mu    sync.Mutex
	until time.Time

	// Of the one who reads.
	afterCR bool
	pending error // to be told by the next Read

	broken atomic.Bool
}

// limit sets when the connection ends, whatever deadlines are asked for.
func (c *conn) limit(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
	_ = c.Conn.SetDeadline(until)
}

func (c *conn) bounded(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() || t.After(c.until) {
		return c.until
	}
	return t
}

// SetReadDeadline is net.Conn's, within the connection's own limit.
func (c *conn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.bounded(t)) }

// SetWriteDeadline is net.Conn's, within the connection's own limit.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.bounded(t)) }

// SetDeadline is net.Conn's, within the connection's own limit.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.bounded(t)) }

// end lets nothing more be read.
func (c *conn) end() { c.broken.Store(true) }

// Read is net.Conn's. It gives what stands before a bare CR or LF, then fails.
func (c *conn) Read(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, io.EOF
	}
	if c.pending != nil {
		c.end()
		return 0, c.pending
	}
	n, err := c.Conn.Read(p)
	if at := c.bareAt(p[:n]); at >= 0 {
		n, err = at, errBareLineEnd
	}
	if err != nil && n > 0 {
		c.pending, err = err, nil
	}
	if err != nil {
		c.end()
	}
	return n, err
}

// bareAt is the place of the first octet that shows a CR or LF to stand alone, -1 where there is none.
func (c *conn) bareAt(p []byte) int {
	for i, octet := range p {
		if c.afterCR != (octet == '\n') {
			return i
		}
		c.afterCR = octet == '\r'
	}
	return -1
}

// Close is net.Conn's.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.from.mu.Lock()
		delete(c.from.open, c)
		c.from.mu.Unlock()
		<-c.from.places
	})
	return c.Conn.Close()
}
