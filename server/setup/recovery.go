package setup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// MakeRecovery makes a recovery key, which is returned this once. It counts when
// somebody has shown that they keep it; until then the one before does.
func (g *Guide) MakeRecovery(ctx context.Context, actor audit.Actor, org uuid.UUID) (seal.RecoveryKey, error) {
	key := seal.NewRecoveryKey()
	err := g.change(ctx, actor, org, audit.KeyRecovery, func(tx *storage.Tx, e *audit.Event, u *storage.Setup) error {
		u.Recovery = storage.SetupRecovery{ID: key.ID(), Tail: key.Tail(), Made: tx.Now()}
		e.Fields = append(e.Fields, audit.Word(audit.KeyKeyID, key.ID()), audit.Word(audit.KeyState, "made"))
		return nil
	})
	if err != nil {
		return seal.RecoveryKey{}, err
	}
	return key, g.store.OfferRecovery(ctx, key)
}

// ConfirmRecovery accepts the recovery key that was made last from who knows its last
// four characters.
func (g *Guide) ConfirmRecovery(ctx context.Context, actor audit.Actor, org uuid.UUID, tail string) error {
	state, err := g.State(ctx, org)
	switch mark := state.Setup.Recovery; {
	case err != nil:
		return err
	case mark.ID == "":
		return fmt.Errorf("%w: no recovery key was made yet", directory.ErrState)
	case !mark.Confirmed.IsZero():
		return fmt.Errorf("%w: recovery key %s is confirmed already", directory.ErrState, mark.ID)
	case !strings.EqualFold(strings.TrimSpace(tail), mark.Tail):
		return fmt.Errorf("%w: these are not its last four characters", directory.ErrInvalid)
	}
	if err := g.store.AcceptRecovery(ctx); err != nil {
		return err
	}
	return g.change(ctx, actor, org, audit.KeyRecovery, func(tx *storage.Tx, e *audit.Event, u *storage.Setup) error {
		if u.Recovery.ID != state.Setup.Recovery.ID {
			return fmt.Errorf("%w: another recovery key was made meanwhile", directory.ErrState)
		}
		u.Recovery.Confirmed = tx.Now()
		u.Skipped = without(u.Skipped, storage.SetupKeys)
		e.Fields = append(e.Fields, audit.Word(audit.KeyKeyID, u.Recovery.ID), audit.Word(audit.KeyState, "confirmed"))
		return nil
	})
}

// Certificate keeps the certificate that stands in, in PEM, unless one is kept that
// holds for another week: then that one is returned.
func (g *Guide) Certificate(ctx context.Context, org uuid.UUID, fresh func() (cert, key []byte, err error), good func(cert []byte) bool) (cert, key []byte, err error) {
	u, err := g.store.Setup(ctx, org)
	if err == nil && good(u.Certificate) {
		return u.Certificate, u.Key, nil
	}
	if cert, key, err = fresh(); err != nil {
		return nil, nil, err
	}
	err = g.change(ctx, storage.System, org, audit.KeyCreate, func(_ *storage.Tx, e *audit.Event, u *storage.Setup) error {
		u.Certificate, u.Key = cert, key
		e.Fields = append(e.Fields, audit.Word(audit.KeyPurpose, "setup"))
		return nil
	})
	return cert, key, err
}

// CertificateAge is how long a certificate that stands in holds.
const CertificateAge = 90 * 24 * time.Hour
