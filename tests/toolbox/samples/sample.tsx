import { useState } from "react";
type Props = { title: string };
export function Card({ title }: Props) {
  const [n, setN] = useState<number>(0);
  return <Frame title={title} onClick={() => setN(n + 1)}>text here</Frame>;
}
const Small = (p: Props) => <Card {...p} />;
