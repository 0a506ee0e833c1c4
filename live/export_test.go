package live

import "fmt"

// Sizes for tests.
const (
	MaxQueue  = maxQueue
	MaxMissed = maxMissed
)

// Index is which chats each connected user is in, as the hub has it. It fails if
// what the hub knows contradicts itself.
func (h *Hub) Index() (map[int64][]int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	index := map[int64][]int64{}
	places := 0
	for id, u := range h.users {
		if len(u.connections) == 0 {
			return nil, fmt.Errorf("user %d has no connection", id)
		}
		index[id] = []int64{}
		for chatID, i := range u.chats {
			if room := h.rooms[chatID]; i >= len(room) || room[i] != u {
				return nil, fmt.Errorf("user %d is not at place %d of chat %d", id, i, chatID)
			}
			index[id] = append(index[id], chatID)
			places++
		}
	}
	for chatID, room := range h.rooms {
		if places -= len(room); len(room) == 0 {
			return nil, fmt.Errorf("chat %d is kept, and nobody is in it", chatID)
		}
	}
	if places != 0 {
		return nil, fmt.Errorf("%d more are in the chats of users than in rooms", places)
	}
	return index, nil
}

// Kept is how many users, rooms and addresses the hub has.
func (h *Hub) Kept() [3]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return [3]int{len(h.users), len(h.rooms), len(h.addresses)}
}

// Attended is what the hub keeps of who is there: users, of other nodes too, those
// who watch and are watched, and what it has still to tell.
func (h *Hub) Attended() (kept [7]int) {
	p := h.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	return [7]int{len(p.here), p.believed, len(p.elsewhere), len(p.watchers), len(p.watching), len(p.leaving), len(p.changed) + len(p.owed) + len(p.narrowed)}
}
