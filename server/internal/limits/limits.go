// Package limits keeps, in memory, when each client and all of them together may ask again. The core decides; this
// remembers. It is this node's memory only, and gone with it, which a limit per minute can bear.
package limits

import (
	"context"
	"sync"
	"time"

	"postroom/server/internal/core"
)

// sweepAbove is the number of remembered keys at which those that no longer matter are dropped.
const sweepAbove = 10_000

// Engine calls the core.
type Engine interface {
	Call(ctx context.Context, op string, now time.Time, args, out any) error
}

// Rule is one limit: at most PerWindow within Window for Key; 0 is no limit.
type Rule struct {
	Key       string
	PerWindow int
	Window    time.Duration
}

// Memory is safe for concurrent use.
type Memory struct {
	engine Engine

	mutex sync.Mutex
	tats  map[string]int64 // GCRA's theoretical arrival time, ms since the epoch
}

// New is a Memory of nothing.
func New(engine Engine) *Memory {
	return &Memory{engine: engine, tats: map[string]int64{}}
}

// Pass counts one request against all rules, or against none of them where one denies it.
func (m *Memory) Pass(ctx context.Context, now time.Time, rules ...Rule) (bool, error) {
	return m.ask(ctx, now, true, rules)
}

// Peek says what Pass would, and counts nothing.
func (m *Memory) Peek(ctx context.Context, now time.Time, rules ...Rule) (bool, error) {
	return m.ask(ctx, now, false, rules)
}

func (m *Memory) ask(ctx context.Context, now time.Time, count bool, rules []Rule) (bool, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	args := core.LimitArgs{Rules: make([]core.Rule, len(rules))}
	for i, rule := range rules {
		args.Rules[i] = core.Rule{Name: rule.Key, PerWindow: int64(rule.PerWindow), WindowMS: rule.Window.Milliseconds()}
		if tat, known := m.tats[rule.Key]; known {
			args.Rules[i].TATMS = &tat
		}
	}
	var answer core.LimitResult
	if err := m.engine.Call(ctx, core.OpLimit, now, args, &answer); err != nil {
		return false, err
	}
	if count && answer.Allowed {
		for i, tat := range answer.TATMS {
			if tat != nil && i < len(rules) {
				m.tats[rules[i].Key] = *tat
			}
		}
		m.sweep(now)
	}
	return answer.Allowed, nil
}

// sweep drops the keys whose time has passed: they say no more than an unknown key does.
func (m *Memory) sweep(now time.Time) {
	if len(m.tats) < sweepAbove {
		return
	}
	for key, tat := range m.tats {
		if tat <= now.UnixMilli() {
			delete(m.tats, key)
		}
	}
}
