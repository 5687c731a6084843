package service

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"postroom/server/internal/flow"
	"postroom/server/internal/link"
)

// keep is how many log lines wait for a shim; older ones are in the service's own log.
const keep = 1000

// feed is the service's log: a file of its own, and the lines that the shim forwards to Mattermost's.
type feed struct {
	slog.Handler
	attrs []any
	queue *queue
}

type queue struct {
	once   sync.Once
	lines  chan link.LogRecord
	ended  chan struct{}
	recent recent
}

func newFeed(file io.Writer) *feed {
	return &feed{
		Handler: slog.NewJSONHandler(file, &slog.HandlerOptions{Level: slog.LevelInfo}),
		queue:   &queue{lines: make(chan link.LogRecord, keep), ended: make(chan struct{})},
	}
}

// Handle writes the record to the file and queues it for the shim; the oldest gives way when too many wait.
func (f *feed) Handle(ctx context.Context, record slog.Record) error {
	line := link.LogRecord{Level: level(record.Level), Message: record.Message, Fields: append([]any{}, f.attrs...)}
	record.Attrs(func(attr slog.Attr) bool {
		line.Fields = append(line.Fields, attr.Key, attr.Value.String())
		return true
	})
	if record.Level >= slog.LevelWarn {
		f.queue.recent.add(flow.LogLine{At: record.Time.UTC(), LogRecord: line})
	}
	for queued := false; !queued; {
		select {
		case f.queue.lines <- line:
			queued = true
		default:
			select {
			case <-f.queue.lines:
			default:
			}
		}
	}
	return f.Handler.Handle(ctx, record)
}

// WithAttrs keeps the attributes for the shim's lines too.
func (f *feed) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *f
	with.Handler = f.Handler.WithAttrs(attrs)
	with.attrs = append([]any{}, f.attrs...)
	for _, attr := range attrs {
		with.attrs = append(with.attrs, attr.Key, attr.Value.String())
	}
	return &with
}

// recent are the newest warnings and errors, for a support packet.
type recent struct {
	mu    sync.Mutex
	lines []flow.LogLine
}

// recentLines is how many are kept.
const recentLines = 200

func (r *recent) add(line flow.LogLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == recentLines {
		r.lines = r.lines[1:]
	}
	r.lines = append(r.lines, line)
}

func (r *recent) all() []flow.LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]flow.LogLine{}, r.lines...)
}

func (f *feed) close() { f.queue.once.Do(func() { close(f.queue.ended) }) }

func level(of slog.Level) string {
	switch {
	case of >= slog.LevelError:
		return "error"
	case of >= slog.LevelWarn:
		return "warn"
	case of >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}
