package store

import (
	"fmt"
	"time"
)

// Place is where somebody has signed in from: a device, or a network.
type Place struct {
	Hash   []byte // SHA-256 of what names it
	UsedAt time.Time
}

// ListPlacesOf lists the places that a user has signed in from since a time, the last
// used first. There are no more than were kept: see [Tx.NotePlace].
func (tx *Tx) ListPlacesOf(userID int64, since time.Time) ([]Place, error) {
	found, err := list(tx, 4, scanPlace, `
		SELECT place_hash, used_at FROM known_places
		WHERE user_id = ?1 AND used_at > ?2 ORDER BY used_at DESC, id DESC`,
		userID, micros(since))
	if err != nil {
		return nil, fmt.Errorf("list places: %w", err)
	}
	return found, nil
}

func scanPlace(row scanner, p *Place) error {
	var used int64
	err := row.Scan(&p.Hash, &used)
	p.UsedAt = fromMicros(used)
	return err
}

// NotePlace stores that a user has signed in from a place at a time, known before or
// not, and keeps no more than so many of theirs: those that were used last. Two
// Updates that note the same place at once should have locked the user.
func (tx *Tx) NotePlace(userID int64, hash []byte, at time.Time, keep int) error {
	_, err := tx.exec(`
		INSERT INTO known_places (user_id, place_hash, used_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (user_id, place_hash) DO UPDATE SET used_at = ?3`,
		userID, hash, micros(at))
	if err == nil {
		_, err = tx.exec(`
			DELETE FROM known_places WHERE id IN (
				SELECT id FROM known_places WHERE user_id = ?1 ORDER BY used_at DESC, id DESC LIMIT 1000 OFFSET ?2)`,
			userID, keep)
	}
	if err != nil {
		return fmt.Errorf("note place: %w", err)
	}
	return nil
}

// DeletePlacesOf forgets all places of a user.
func (tx *Tx) DeletePlacesOf(userID int64) error {
	if _, err := tx.exec(`DELETE FROM known_places WHERE user_id = ?1`, userID); err != nil {
		return fmt.Errorf("delete places of user: %w", err)
	}
	return nil
}

// DeleteOldPlaces removes up to limit places that were used last before a time.
func (tx *Tx) DeleteOldPlaces(before time.Time, limit int) error {
	_, err := tx.exec(`
		DELETE FROM known_places WHERE id IN (
			SELECT id FROM known_places WHERE used_at <= ?1 ORDER BY used_at LIMIT ?2)`,
		micros(before), limit)
	if err != nil {
		return fmt.Errorf("delete old places: %w", err)
	}
	return nil
}
