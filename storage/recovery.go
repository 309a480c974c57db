package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postern/storage/seal"
)

// A recovery key opens a copy of the root key that lies wrapped in keys.db. That file
// is in no backup of the data, and its own backup keeps the newest version alone, so
// that a recovery key which was replaced opens nothing any more.

// Names of the wrapped copies: a new one waits until somebody has shown that they keep
// its key; until then the one before goes on working.
const (
	recoveryActive  = "active"
	recoveryPending = "pending"
)

// OfferRecovery keeps a copy of the root key, wrapped for a recovery key, that counts
// once it is accepted. An earlier offer is gone.
func (s *Store) OfferRecovery(ctx context.Context, key seal.RecoveryKey) error {
	_, err := s.keys.db.ExecContext(ctx, "INSERT INTO recovery (name, wrapped) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET wrapped = excluded.wrapped",
		recoveryPending, key.Wrap(s.cfg.Root))
	return classify(err)
}

// AcceptRecovery puts the copy that was offered last in place of the one before, which
// is destroyed. ErrNotFound when none was offered.
func (s *Store) AcceptRecovery(ctx context.Context) error {
	tx, err := s.keys.db.BeginTx(ctx, nil)
	if err != nil {
		return classify(err)
	}
	defer tx.Rollback()
	var wrapped []byte
	if err := tx.QueryRowContext(ctx, "SELECT wrapped FROM recovery WHERE name = $1", recoveryPending).Scan(&wrapped); err != nil {
		return found(err)
	}
	for _, step := range []struct {
		sql  string
		args []any
	}{
		{"DELETE FROM recovery", nil},
		{"INSERT INTO recovery (name, wrapped) VALUES ($1, $2)", []any{recoveryActive, wrapped}},
	} {
		if _, err := tx.ExecContext(ctx, step.sql, step.args...); err != nil {
			return classify(err)
		}
	}
	return classify(tx.Commit())
}

// Recover opens the root key of the data in dir with a recovery key. No server may
// have been able to run without it, so the directory is only read. ErrNotFound says
// that there is no copy which this key opens.
func Recover(ctx context.Context, dir string, key seal.RecoveryKey) (*seal.RootKey, error) {
	want, err := WantedRootKey(ctx, dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, keysFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s in %s", ErrNotFound, keysFile, dir)
	}
	db, err := sql.Open("sqlite", dsn(path, "query_only(ON)"))
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	defer db.Close()
	copies, err := recoveryCopies(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, wrapped := range copies {
		root, err := key.Unwrap(wrapped)
		if err != nil {
			continue
		}
		if want != "" {
			err = root.Check(want)
		}
		return root, err
	}
	return nil, fmt.Errorf("%w: no copy of the root key in %s is for this recovery key", ErrNotFound, path)
}

func recoveryCopies(ctx context.Context, db *sql.DB) (all [][]byte, err error) {
	rows, err := db.QueryContext(ctx, "SELECT wrapped FROM recovery ORDER BY name")
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var wrapped []byte
		if err := rows.Scan(&wrapped); err != nil {
			return nil, classify(err)
		}
		all = append(all, wrapped)
	}
	return all, classify(rows.Err())
}
