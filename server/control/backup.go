package control

import (
	"context"
	"errors"
	"io"
	"time"

	"postern/storage"
)

// maxDrillAge is how far back the time of a backup may lie in a report of a drill.
const maxDrillAge = 100 * 365 * 24 * time.Hour

func (s *Server) backupCommands() {
	stream(s, "backup.create", s.backupCreate)
	answer(s, "backup.verified", s.backupVerified)
}

// Backup writes a backup to w, as a tar archive, sealed as the data is. One that broke
// off has no manifest.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return download(ctx, c, "backup.create", None{}, w)
}

func (s *Server) backupCreate(ctx context.Context, by caller, _ None, w io.Writer) error {
	err := s.Store.Backup(ctx, by.Actor, s.Version, w)
	if errors.Is(err, storage.ErrConflict) {
		return &Error{Code: Busy, Message: "A backup is being made already."}
	}
	return err
}

// BackupVerified tells the server of a drill, for its log.
func (c *Client) BackupVerified(ctx context.Context, d storage.DrillReport) error {
	_, err := ask[storage.DrillReport, None](ctx, c, "backup.verified", d)
	return err
}

func (s *Server) backupVerified(ctx context.Context, by caller, d storage.DrillReport) (None, error) {
	if now := s.Now(); d.Made.After(now.Add(time.Hour)) || d.Made.Before(now.Add(-maxDrillAge)) || d.Problems < 0 || d.Bodies < 0 {
		return None{}, invalid("this is no report of a drill")
	}
	return None{}, s.Store.BackupVerified(ctx, by.Actor, d)
}
