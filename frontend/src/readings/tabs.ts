/** Tells the other tabs of this browser at once that a page has taken over a place; elsewhere the server tells. */

export class Tabs {
  private readonly channel: BroadcastChannel | null;

  constructor(
    place: string,
    private readonly page: string,
    onTaken: () => void,
  ) {
    this.channel = 'BroadcastChannel' in window ? new BroadcastChannel(`reading-${place}`) : null;
    this.channel?.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (event.data !== this.page) onTaken();
    });
  }

  /** This page takes the answers now. */
  take(): void {
    this.channel?.postMessage(this.page);
  }
}

/** A random (version 4) UUID, also where the page is not served over TLS. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
