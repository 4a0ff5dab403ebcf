// Takes an item out of a queue; mostly it is the first.

export function remove(queue: unknown[], item: unknown): void {
  if (queue[0] === item) {
    queue.shift()
    return
  }
  const at = queue.indexOf(item)
  if (at >= 0) queue.splice(at, 1)
}
