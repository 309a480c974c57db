package servertest

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// reportLog counts what browsers report that they refused to do with our pages, and
// passes all on to the log of the test.
type reportLog struct {
	slog.Handler
	refused *atomic.Int64
}

// watched is a log with a count of reports; with nil, it keeps nothing else.
func watched(l *slog.Logger) (*slog.Logger, *atomic.Int64) {
	h := slog.DiscardHandler
	if l != nil {
		h = l.Handler()
	}
	n := new(atomic.Int64)
	return slog.New(reportLog{h, n}), n
}

// Enabled takes warnings also where the test keeps none.
func (l reportLog) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.Handler.Enabled(ctx, level)
}

// Handle counts, and passes on.
func (l reportLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "a browser refused") {
		l.refused.Add(1)
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs keeps counting.
func (l reportLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return reportLog{l.Handler.WithAttrs(attrs), l.refused}
}

// WithGroup keeps counting.
func (l reportLog) WithGroup(name string) slog.Handler {
	return reportLog{l.Handler.WithGroup(name), l.refused}
}
