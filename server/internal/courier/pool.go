package courier

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"sync"
	"time"

	"postroom/server/internal/core"
)

// Limits of a kept connection: servers close one that idles, and some count its mails.
const (
	keptIdle  = 30 * time.Second
	keptMails = 100
)

// Pool keeps connections, and access tokens, from one mail to the next. It opens nothing: a mail that finds no connection
// opens one, so that there are never more than mails were under way at once. It is safe for concurrent use.
type Pool struct {
	// Count, where it is not nil, is told of each connection that a mail got.
	Count func(reused bool)

	idle   time.Duration // keptIdle where it is 0
	tokens tokens
	mu     sync.Mutex
	kept   map[[sha256.Size]byte][]*kept
	closed bool
	left   int // sessions that say QUIT now
}

// session is one connection to a server, as far as it came.
type session struct {
	line       *line
	extensions map[string]string // of the newest EHLO reply; nil after HELO
	owed       int               // replies to commands that were sent in one go and are not read yet, DATA's the last
	mails      int               // that went over it
}

// kept is an idle session. A reader waits on it: whatever a server says unasked, or its leaving, ends it at once.
type kept struct {
	*session
	taken bool          // under the pool's lock
	ended chan struct{} // the reader has
	alive bool          // after ended: it was only broken off
}

// keyOf tells connections apart by all that matters.
func (c *Courier) keyOf(to core.Connection) [sha256.Size]byte {
	return keyOf(struct {
		To   core.Connection
		Name string
	}{to, c.Name})
}

// take gives the newest idle session that lives, nil where there is none.
func (p *Pool) take(key [sha256.Size]byte) *session {
	if p == nil {
		return nil
	}
	for {
		p.mu.Lock()
		of := p.kept[key]
		if len(of) == 0 {
			p.mu.Unlock()
			return nil
		}
		k := of[len(of)-1]
		p.remove(key, k)
		p.mu.Unlock()
		breakOff(k.line.Conn)
		<-k.ended
		if k.alive {
			return k.session
		}
		_ = k.line.Close()
	}
}

func (p *Pool) count(reused bool) {
	if p != nil && p.Count != nil {
		p.Count(reused)
	}
}

// remove takes it off the list; the lock is held.
func (p *Pool) remove(key [sha256.Size]byte, k *kept) {
	k.taken = true
	of := p.kept[key]
	for i := range of {
		if of[i] == k {
			p.kept[key] = append(of[:i:i], of[i+1:]...)
			break
		}
	}
	if len(p.kept[key]) == 0 {
		delete(p.kept, key)
	}
}

// put keeps a session for the next mail, or says QUIT where it has carried enough. quit bounds that.
func (p *Pool) put(key [sha256.Size]byte, s *session, quit time.Duration) {
	if p != nil && s.mails < keptMails && s.line.in.Buffered() == 0 {
		p.mu.Lock()
		if !p.closed {
			if p.kept == nil {
				p.kept = map[[sha256.Size]byte][]*kept{}
			}
			k := &kept{session: s, ended: make(chan struct{})}
			p.kept[key] = append(p.kept[key], k)
			limit := p.idle
			if limit == 0 {
				limit = keptIdle
			}
			k.line.over, k.line.read = context.Background(), 0
			_ = k.line.SetDeadline(time.Now().Add(limit))
			p.mu.Unlock()
			go p.watch(key, k, quit)
			return
		}
		p.mu.Unlock()
	}
	p.farewell(s, quit)
}

// watch reads from an idle session until it is taken, has idled enough, or its server says something or leaves.
func (p *Pool) watch(key [sha256.Size]byte, k *kept, quit time.Duration) {
	_, err := k.line.in.Peek(1)
	k.alive = errors.Is(err, os.ErrDeadlineExceeded) && k.line.in.Buffered() == 0
	p.mu.Lock()
	mine := !k.taken
	if mine {
		p.remove(key, k)
		p.left++
	}
	p.mu.Unlock()
	close(k.ended)
	if !mine {
		return
	}
	if k.alive {
		k.leave(quit)
	} else {
		_ = k.line.Close()
	}
	p.gone()
}

func (p *Pool) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left--
}

// farewell says QUIT; nobody waits for it.
func (p *Pool) farewell(s *session, quit time.Duration) {
	if p == nil {
		go s.leave(quit)
		return
	}
	p.mu.Lock()
	p.left++
	p.mu.Unlock()
	go func() {
		defer p.gone()
		s.leave(quit)
	}()
}

// EndIdle ends what is idle, as when settings have changed. What is in use goes on.
func (p *Pool) EndIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.kept {
		for _, k := range of {
			breakOff(k.line.Conn) // the reader takes it for idle enough
		}
	}
}

// Close ends what is idle, keeps nothing from then on, and waits until the servers were told.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.EndIdle()
	for {
		p.mu.Lock()
		none := len(p.kept) == 0 && p.left == 0
		p.mu.Unlock()
		if none {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// leave says QUIT and waits for its reply, as RFC 5321 (4.1.1.10) asks. That changes nothing about what is known.
func (s *session) leave(limit time.Duration) {
	s.line.over = context.Background()
	s.line.begin(limit)
	if s.clear() == nil {
		_, _ = s.line.ask("QUIT")
	}
	_ = s.line.Close()
}

// clear reads what the server still owes; where it takes DATA although nobody is to get the mail, it gets a lone dot
// (RFC 2920, 3.1).
func (s *session) clear() error {
	for s.owed > 0 {
		reply, err := s.line.reply()
		if err != nil {
			return err
		}
		if s.owed--; s.owed == 0 && reply.Code == 354 {
			if reply, err = s.line.ask("."); err != nil {
				return err
			}
			if reply.Code/100 == 2 {
				return errors.New("the server took a mail for nobody")
			}
		}
	}
	return nil
}
