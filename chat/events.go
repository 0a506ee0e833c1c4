package chat

import "encoding/json"

// eventTime is how an event tells a time, as everything that is answered does.
const eventTime = "2006-01-02T15:04:05.000000Z"

// eventData encodes what else an event has to tell.
func eventData[T any](told map[string]T) string {
	data, err := json.Marshal(told)
	if err != nil {
		panic(err) // texts, numbers and truths can always be encoded
	}
	return string(data)
}
