package acme

import (
	"context"
	"slices"

	"postern/storage"
	"postern/storage/audit"
)

// removeForgotten removes the certificates of domains that this server has no
// more, and of names that led elsewhere until their certificate ended.
func (k *Keeper) removeForgotten(ctx context.Context) error {
	for _, h := range k.forgotten() {
		folder := certificates + h.authority + "/" + h.name.text + "/"
		all, err := k.store.CertificateFiles(ctx, folder)
		if err != nil || len(all) == 0 {
			return err
		}
		err = k.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
			e := tx.Record(audit.Event{Verb: audit.CertificateRemove, Outcome: audit.OK, Org: h.name.org, Object: h.file,
				Fields: audit.Fields{audit.Word(audit.KeyAuthority, word(h.authority)), audit.Digest(audit.KeyFingerprint, fingerprint(h.cert.Leaf)),
					audit.Time(audit.KeyNotAfter, h.cert.Leaf.NotAfter)},
				Personal: audit.Fields{audit.Text(audit.KeyDomain, h.name.text)}})
			for n := range all {
				if err := tx.DeleteCertificateFile(e, &all[n]); err != nil {
					return err
				}
			}
			return tx.Upkeep().DropCertificateAttempt(h.name.text)
		})
		if err != nil {
			return err
		}
		if err := k.load(ctx); err != nil {
			return err
		}
	}
	return nil
}

// forgotten are the certificates that removeForgotten removes.
func (k *Keeper) forgotten() (all []*held) {
	now := k.o.Now()
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.ours == nil {
		return nil
	}
	for text, h := range k.held {
		wanted := slices.ContainsFunc(k.wanted, func(n name) bool { return n.text == text })
		if !k.ours[text] || !wanted && now.After(h.cert.Leaf.NotAfter) {
			all = append(all, h)
		}
	}
	return all
}
