package harness

import (
	"bufio"
	"crypto/tls"
	"path/filepath"
	"time"
)

// StartSecureSink opens a sink that offers STARTTLS, with a certificate that nobody knows, and AUTH after it. A fault at
// the handshake is one at the command "HANDSHAKE".
func (s *Stage) StartSecureSink() (*Sink, error) {
	dir, err := s.Folder("sink")
	if err != nil {
		return nil, err
	}
	if err := selfSigned(dir); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	sink, err := s.StartSink()
	if err == nil {
		sink.mu.Lock()
		sink.secure = &tls.Config{Certificates: []tls.Certificate{pair}}
		sink.mu.Unlock()
	}
	return sink, err
}

// security is what EHLO offers of it.
func (c *sinkConn) security() string {
	switch {
	case c.tlsConfig() == nil:
		return ""
	case c.inTLS:
		return "250-AUTH PLAIN LOGIN\n"
	}
	return "250-STARTTLS\n"
}

func (c *sinkConn) tlsConfig() *tls.Config {
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	return c.sink.secure
}

func (c *sinkConn) startTLS() bool {
	config := c.tlsConfig()
	if config == nil {
		return c.answer("STARTTLS", "502 5.5.1 Not implemented")
	}
	if !c.answer("STARTTLS", "220 2.0.0 Ready to start TLS") {
		return !c.last
	}
	if said, cut := c.decide("HANDSHAKE", ""); cut || said != "" {
		if said != "" {
			c.write(said)
		}
		return false
	}
	secure := tls.Server(c.Conn, config)
	if secure.Handshake() != nil {
		return false
	}
	c.Conn, c.in, c.inTLS = secure, bufio.NewReader(secure), true
	return true
}

// stall says nothing, or next to nothing, until it is told to go on.
func (c *sinkConn) stall(fault Fault, reply string) {
	for at := 0; ; at++ {
		if !fault.Drip || at >= len(reply) {
			<-fault.Until
			return
		}
		_, _ = c.Write([]byte{reply[at]})
		select {
		case <-fault.Until:
			return
		case <-time.After(time.Second):
		}
	}
}
