// An error, in the words in which the API told it.
import type { Trouble } from "../http";

export function TroubleBox({ trouble }: { trouble: Trouble }) {
  return (
    <div class="trouble">
      <p>{trouble.message}</p>
      {trouble.facts && <p class="facts">{trouble.facts}</p>}
    </div>
  );
}
