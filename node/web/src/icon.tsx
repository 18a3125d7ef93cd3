// The icon set of the server's pages, for islands.
import icons from "../icons/icons.json";

const set = icons as Record<string, string>;

export function Icon({ name }: { name: string }) {
  // The drawings are our own file, not anybody's words.
  const drawing = set[name] ?? set["other"] ?? "";
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      aria-hidden="true"
      focusable="false"
      dangerouslySetInnerHTML={{ __html: drawing }}
    />
  );
}
